"""Choosing runs by what their records say: `--where peft.method=lora --where metrics.bleu>0.01`."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from persona_sweeps.errors import UserError, did_you_mean

from .results import Record, Selection

_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_SECTIONS = ("metrics", "training", "resources", "data", "provenance")
_TOP = ("status", "run_id", "name", "comparability_key")
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
    """What a record must say; `key` is a dotted path into the record."""

    key: str
    sign: str
    value: str

    def __str__(self) -> str:
        return f"{self.key.removeprefix('config.')}{self.sign}{self.value}"

    def holds(self, record: Record) -> bool:
        """Whether a record meets it; a record that lacks the key counts as null, which is no number."""
        found = record.get(self.key)
        if self.sign in _ORDER:
            number = record.number(self.key)
            return number is not None and _ORDER[self.sign](number, float(self.value))
        if self.sign == "~":
            return self.value.casefold() in plain(found).casefold()
        return _equal(found, self.value) == (self.sign == "=")


def parse(texts: Sequence[str], records: Sequence[Record]) -> list[Condition]:
    """Return the conditions that `KEY=VALUE` texts ask for.

    Signs are = != < <= > >= and ~ (contains, ignoring case). Raises `UserError` for anything else, for a key that no
    record has, and for an order that isn't with a number.
    """
    return [_condition(text, records) for text in texts]


def restrict(selection: Selection, conditions: Sequence[Condition]) -> Selection:
    """Return the part of a selection that meets all conditions; a study stays, whole, where one of its runs does.

    Raises `UserError` when no run meets them.
    """
    if not conditions:
        return selection
    records = [record for record in selection.records if all(condition.holds(record) for condition in conditions)]
    asked = " and ".join(map(str, conditions))
    if not records:
        raise UserError(f"No run has {asked}.{''.join(_there(c, selection.records) for c in conditions)}")
    ids = {record.run_id for record in records}
    studies = [study for study in selection.studies if any(trial.run_id in ids for trial in study.trials)]
    title = f"{selection.title}, where {asked} ({len(records)} of {len(selection.records)} runs)"
    return replace(selection, title=title, records=records, studies=studies)


def known_keys(records: Iterable[Record]) -> list[str]:
    """Return every dotted path that a record has: of its config, its numbers, and the few at the top."""
    found: dict[str, None] = {}
    for record in records:
        found |= dict.fromkeys(_paths({"config": record.raw.get("config", {})}))
        found |= dict.fromkeys(_paths({key: record.raw[key] for key in _SECTIONS if key in record.raw}))
        found |= dict.fromkeys(key for key in _TOP if key in record.raw)
    return list(found)


def resolve(key: str, records: Sequence[Record]) -> str:
    """Return the dotted path that `key` means, with or without `config.`; raises `UserError` for an unknown one."""
    known = known_keys(records)
    for candidate in (f"config.{key}", key):
        if candidate in known:
            return candidate
    short = [path.removeprefix("config.") for path in known]
    raise UserError(f"No run has a key {key!r}.{did_you_mean(key, short)}")


def plain(value: Any) -> str:
    """Return a value as an override has it: 16.0 as 16, a list with brackets, null for None."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(plain, value))}]"
    return json.dumps(value, sort_keys=True, default=str) if isinstance(value, Mapping) else str(value)


def _condition(text: str, records: Sequence[Record]) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UserError(f"--where {text!r} isn't KEY=VALUE (or != < <= > >= ~), such as peft.method=lora.")
    key, sign, value = match.groups()
    if sign in _ORDER and _number(value) is None:
        raise UserError(f"--where {text!r}: {sign} needs a number, and {value!r} is none.")
    return Condition(resolve(key, records), sign, value)


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


def _there(condition: Condition, records: Sequence[Record]) -> str:
    values = sorted({plain(record.get(condition.key)) for record in records})
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
