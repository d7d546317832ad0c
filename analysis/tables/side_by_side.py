"""Two runs side by side: their configs, their metrics with paired intervals, and the replies that differ most."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..read.comparability import differences
from ..read.measures import measure
from ..read.results import Record
from ..read.samples import SamplesError, read_items
from ..read.settings import dataset_label, flat, model_label, plain, settings
from ..statistics.measured import Measured, is_likelihood, maximizes, measured_all
from ..statistics.pairs import Pair, pair, together
from . import numbers, wording
from .notes import METRIC_HEADINGS, METRICS, reason
from .table import Column, Section, Table

_BESIDE_THE_POINT = ("output_dir", "sweep.", "tracker.", "device", "show_examples", "plan", "status")
_TOKENIZER = ("config.model.name", "config.model.scale")  # as far as a record tells
_LONGEST = 160
_RULED_BY = ("completion_nll", "rougeL")
"""what tells how much an item differs: the first that the items have"""


def table(first: Record, second: Record, most: int) -> Table:
    """Return the comparison; `most` is how many items to show."""
    metrics, pairs = _metrics(first, second)
    sections = [_runs(first, second), _config(first, second), metrics]
    if most:
        sections.append(_items(first, second, most))
    raw = [{"metric": name, "run_a": first.run_id, "run_b": second.run_id, **found.raw("b_a")} for name, found in pairs]
    notes = [
        "B − A is paired over the items that both have; p is two-sided, and corrected by Holm for the metrics shown. "
        "d is the mean difference in standard deviations of the differences by scene or dialogue.",
        "A run has one seed: intervals and p-values speak of new evaluation items, and can't speak of training noise.",
    ]
    return Table(f"{first.run_id} (A) and {second.run_id} (B)", (), sections, notes, raw)


def _runs(first: Record, second: Record) -> Section:
    rows = [
        [side, record.run_id, model_label(record), _method(record), dataset_label(record), _ended(record)]
        for side, record in (("A", first), ("B", second))
    ]
    headings = ("", "run", "model", "method", "data", "status")
    return Section("Runs", rows, (), [Column(heading, right=False) for heading in headings])


def _method(record: Record) -> str:
    return settings([record])[0].label


def _ended(record: Record) -> str:
    return record.status if record.status == "completed" else f"{record.status}: {reason(record)}"


def _config(first: Record, second: Record) -> Section:
    """Return the config keys in which the runs differ."""
    one, other = (flat(record.raw["config"]) for record in (first, second))
    keys = [key for key in dict.fromkeys([*one, *other]) if not key.startswith(_BESIDE_THE_POINT)]
    rows = [
        [key, _value(one, key), _value(other, key)]
        for key in keys
        if json.dumps(one.get(key), default=str) != json.dumps(other.get(key), default=str)
    ]
    notes = [] if rows else ["Their configs are equal in all that can matter to a result."]
    return Section("Config", rows, notes, [Column(heading, right=False) for heading in ("key", "A", "B")])


def _value(config: Mapping[str, Any], key: str) -> str:
    return _cut(plain(config[key])) if key in config else numbers.ABSENT


def _metrics(first: Record, second: Record) -> tuple[Section, list[tuple[str, Pair]]]:
    """Return every metric of either run, with the paired difference where their items are the same."""
    apart = differences(first, second)
    recorded = [record.get("metrics") or {} for record in (first, second)]
    known = dict.fromkeys([*METRICS, *recorded[0], *recorded[1]])
    names = [name for name in known if any(name in of for of in recorded)]
    of_first, of_second = (measured_all(settings([record])[0], names) for record in (first, second))
    same_tokens = all(first.get(key) == second.get(key) for key in _TOKENIZER)
    pairs = together([_pair(name, of_first, of_second, bool(apart), same_tokens) for name in names])
    rows = [
        _row(name, first, second, of_first[name], of_second[name], found)
        for name, found in zip(names, pairs, strict=True)
    ]
    headings = ("metric", "A [95 %]", "B [95 %]", "B − A [95 %]", "in %", "d", "p", "better")
    columns = [Column(heading, right=heading not in ("metric", "better")) for heading in headings]
    notes = [f"No tests, since these runs may not be compared: {'; '.join(apart)}."] if apart else []
    if not same_tokens:
        notes.append("Metrics that count tokens aren't tested between models, whose tokenizers may differ.")
    troubles = [found.trouble for of_run in (of_first, of_second) for found in of_run.values()]
    troubles += [found.trouble for found in pairs]
    notes += dict.fromkeys(trouble for trouble in troubles if trouble)
    estimates = [found.estimate for found in of_first.values() if found.estimate]
    notes += [wording.evaluated_on(estimates[0])] if estimates else []
    return Section("Metrics", rows, notes, columns), list(zip(names, pairs, strict=True))


def _pair(
    name: str, first: Mapping[str, Measured], second: Mapping[str, Measured], apart: bool, same_tokens: bool
) -> Pair:
    if apart or (measure(name).a_token and not same_tokens):
        return Pair()
    return pair(second[name], first[name])


def _row(name: str, first: Record, second: Record, of_first: Measured, of_second: Measured, found: Pair) -> list[str]:
    form = measure(name).form
    d = found.relative.d if found.relative else found.absolute.d if found.absolute else None
    return [
        METRIC_HEADINGS.get(name, name),
        _one(first.number(f"metrics.{name}"), of_first, name),
        _one(second.number(f"metrics.{name}"), of_second, name),
        wording.absolute(found.absolute, form),
        wording.relative(found.relative),
        numbers.ABSENT if d is None else f"{d:+.2f}",
        wording.p_value(found.corrected),
        _better(name, found),
    ]


def _one(value: float | None, of_run: Measured, name: str) -> str:
    if value is None:
        return numbers.ABSENT
    form = measure(name).form
    return f"{form(value)} {wording.interval(of_run.interval, form)}" if of_run.interval else form(value)


def _better(name: str, found: Pair) -> str:
    if found.corrected is None or found.absolute is None:
        return "not tested"
    if found.corrected > 0.05:
        return "not shown"
    return "B" if (found.absolute.value > 0) == maximizes(name) else "A"


def _items(first: Record, second: Record, most: int) -> Section:
    """Return the items that both have and in which the runs differ most, with both replies."""
    columns = [Column("item", right=False), Column("A"), Column("B"), Column("reply of A", right=False)]
    columns += [Column("reply of B", right=False), Column("reference", right=False)]
    try:
        one, other = (_by_id(record) for record in (first, second))
    except SamplesError as error:
        return Section("Items that differ most", [], [f"{error}."], columns)
    shared = [key for key in one if key in other]
    example = [of[shared[0]] for of in (one, other)] if shared else []
    ruler = next((name for name in _RULED_BY if example and all(_number(line, name) for line in example)), None)
    if ruler is None:
        return Section("Items that differ most", [], ["No items in common with a metric of their own."], columns)
    measured = [key for key in shared if _number(one[key], ruler) and _number(other[key], ruler)]
    measured.sort(key=lambda key: (-abs(one[key][ruler] - other[key][ruler]), key))
    rows = [
        [
            key,
            f"{one[key][ruler]:.3f}",
            f"{other[key][ruler]:.3f}",
            *(_reply(line.get("prediction")) for line in (one[key], other[key])),
            _reply(one[key].get("reference")),
        ]
        for key in measured[:most]
    ]
    better = "less is better" if is_likelihood(ruler) else "more is better"
    shown = f"{len(rows)} of {len(measured)} items shown"
    notes = [f"By {measure(ruler).label}, {better}; {shown}. Texts are cut at {_LONGEST} characters."]
    alone = len(one) + len(other) - 2 * len(shared)
    notes += [f"{alone} items are of one of the runs only."] if alone else []
    return Section("Items that differ most", rows, notes, columns)


def _by_id(record: Record) -> dict[str, Mapping[str, Any]]:
    items = read_items(record)
    return {str(line["id"]): line for line in items.lines} if items else {}


def _number(line: Mapping[str, Any], name: str) -> bool:
    value = line.get(name)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _reply(text: Any) -> str:
    return _cut(text) if isinstance(text, str) else numbers.ABSENT


def _cut(text: str) -> str:
    """Return a text on one line, cut where it's long; tables escape it."""
    shown = " ".join(text[: 4 * _LONGEST].split())
    return shown if len(shown) <= _LONGEST and len(text) <= 4 * _LONGEST else f"{shown[:_LONGEST]}…"
