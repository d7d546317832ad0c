"""Choose results by what their records say: `--where peft.method=lora --where metrics.bleu>0.01`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from persona_sweeps.errors import UserError, did_you_mean

from .labels import plain
from .results import RunResult
from .selection import Selection

_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_SECTIONS = ("metrics", "training", "resources", "data", "provenance", "predictor", "evaluation")
_TOP = ("status", "run_id", "setting_key", "name", "comparability_key")
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LISTED = 8
"""values that an error names"""


@dataclass(frozen=True)
class Condition:
    """What a result must say; `key` is a dotted path into it."""

    key: str
    sign: str
    value: str

    def __str__(self) -> str:
        return f"{self.key.removeprefix('config.')}{self.sign}{self.value}"

    def holds(self, result: RunResult) -> bool:
        """Whether a result meets it; one that lacks the key counts as null, which is no number."""
        found = value_at(result, self.key)
        if self.sign in _ORDER:
            number = result.number(self.key)
            return number is not None and _ORDER[self.sign](number, float(self.value))
        if self.sign == "~":
            return self.value.casefold() in plain(found).casefold()
        return _equal(found, self.value) == (self.sign == "=")


def value_at(result: RunResult, key: str) -> Any:
    """Return the value at a dotted path; `status` is that of the result, which failed where its evaluation did."""
    return result.status if key == "status" else result.get(key)


def parse(texts: Sequence[str], results: Sequence[RunResult]) -> list[Condition]:
    """Return the conditions that `KEY=VALUE` texts ask for.

    Signs are = != < <= > >= and ~ (contains, ignoring case). Raises `UserError` for anything else, for a key that no
    record has, and for an order that isn't with a number.
    """
    return [_condition(text, results) for text in texts]


def restrict(selection: Selection, conditions: Sequence[Condition]) -> Selection:
    """Return the part of a selection that meets all conditions; a study stays, whole, where one of its runs does.

    Raises `UserError` when no result meets them.
    """
    if not conditions:
        return selection
    results = [result for result in selection.results if all(condition.holds(result) for condition in conditions)]
    asked = " and ".join(map(str, conditions))
    if not results:
        raise UserError(f"No run has {asked}.{''.join(_values_there(c, selection.results) for c in conditions)}")
    ids = {result.run_id for result in results}
    studies = [study for study in selection.studies if any(trial.run_id in ids for trial in study.trials)]
    of = len({result.run_id for result in selection.results})
    title = f"{selection.title}, where {asked} ({len(ids)} of {of} runs)"
    return replace(selection, title=title, results=results, studies=studies)


def known_keys(results: Iterable[RunResult]) -> list[str]:
    """Return every dotted path that a result has: of its config, its numbers, and the few at the top."""
    found: dict[str, None] = {}
    for result in results:
        found |= dict.fromkeys(_paths({"config": result.raw.get("config", {})}))
        found |= dict.fromkeys(_paths({key: result.raw[key] for key in _SECTIONS if key in result.raw}))
        found |= dict.fromkeys(key for key in _TOP if key in result.raw)
    return list(found)


def resolve(key: str, results: Sequence[RunResult]) -> str:
    """Return the dotted path that `key` means, with or without `config.`; raises `UserError` for an unknown one."""
    known = known_keys(results)
    for candidate in (f"config.{key}", key):
        if candidate in known:
            return candidate
    short = [path.removeprefix("config.") for path in known]
    raise UserError(f"No run has a key {key!r}.{did_you_mean(key, short)}")


def _condition(text: str, results: Sequence[RunResult]) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UserError(f"--where {text!r} isn't KEY=VALUE (or != < <= > >= ~), such as peft.method=lora.")
    key, sign, value = match.groups()
    if sign in _ORDER and _number(value) is None:
        raise UserError(f"--where {text!r}: {sign} needs a number, and {value!r} is none.")
    return Condition(resolve(key, results), sign, value)


def _equal(found: Any, asked: str) -> bool:
    number = _number(asked)
    if number is not None and isinstance(found, (int, float)) and not isinstance(found, bool):
        return bool(found == number)
    return plain(found) == asked


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _values_there(condition: Condition, results: Sequence[RunResult]) -> str:
    values = sorted({plain(value_at(result, condition.key)) for result in results})
    more = f", and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return f" {condition.key.removeprefix('config.')} is {', '.join(values[:_LISTED])}{more}."


def _paths(tree: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted paths of all leaves and branches."""
    paths = []
    for key, value in tree.items():
        path = f"{prefix}{key}"
        paths.append(path)
        if isinstance(value, Mapping):
            paths += _paths(value, f"{path}.")
    return paths
