"""Two results side by side: their configs, their metrics with paired intervals, and the replies that differ most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..read.comparable import differences
from ..read.labels import base_label, canonical, dataset_label, flat, model_label, plain
from ..read.measures import Measure, measures
from ..read.results import RunResult
from ..read.samples import SamplesError, read_items
from ..read.settings import Setting, settings
from ..statistics.measured import Measured, measured_together
from ..statistics.pairs import Pair, pair, together
from . import wording
from .notes import reason
from .numbers import ABSENT
from .table import Column, Section, Table, cells, raw_rows, shown

_BESIDE_THE_POINT = ("output_dir", "sweep.", "tracker.", "device", "show_examples", "plan", "status")
_LONGEST = 160


def table(first: RunResult, second: RunResult, most: int) -> Table:
    """Return the comparison; `most` is how many items to show."""
    metrics, rows = _metrics(first, second)
    sections = [_runs(first, second), _config(first, second), metrics]
    if most:
        sections.append(_items(first, second, most))
    raw = [{"metric": row["metric"], "run_a": first.run_id, "run_b": second.run_id, **row} for row in rows]
    notes = [
        "B − A is paired over the items that both have; p is two-sided, and corrected by Holm for the metrics shown. "
        "d is the mean difference in standard deviations of the differences by scene or dialogue.",
        "A run has one seed: intervals and p-values speak of new evaluation items, and can't speak of training noise.",
    ]
    return Table(f"{first.run_id} (A) and {second.run_id} (B)", (), sections, notes, raw)


def _runs(first: RunResult, second: RunResult) -> Section:
    columns = [
        Column("side", right=False, value=lambda side: side[0]),
        Column("run", right=False, value=lambda side: side[1].run_id),
        Column("evaluation", right=False, value=lambda side: side[1].evaluation_id),
        Column("model", right=False, value=lambda side: model_label(side[1])),
        Column("method", right=False, value=lambda side: _setting(side[1]).label),
        Column("data", right=False, value=lambda side: dataset_label(side[1])),
        Column("status", right=False, value=lambda side: _ended(side[1])),
    ]
    return Section("Runs", cells(columns, [("A", first), ("B", second)]), (), columns)


def _setting(result: RunResult) -> Setting:
    return settings([result])[0]


def _ended(result: RunResult) -> str:
    return result.status if result.is_scored else f"{result.status}: {reason(result)}"


def _config(first: RunResult, second: RunResult) -> Section:
    """Return the config keys in which the results differ."""
    one, other = (flat(result.part("config")) for result in (first, second))
    keys = [key for key in dict.fromkeys([*one, *other]) if not key.startswith(_BESIDE_THE_POINT)]
    rows = [
        [key, _value(one, key), _value(other, key)]
        for key in keys
        if canonical(one.get(key)) != canonical(other.get(key))
    ]
    notes = [] if rows else ["Their configs are equal in all that can matter to a result."]
    return Section("Config", rows, notes, [Column(heading, right=False) for heading in ("key", "A", "B")])


def _value(config: Mapping[str, Any], key: str) -> str:
    return _cut(plain(config[key])) if key in config else ABSENT


@dataclass(frozen=True)
class MetricRow:
    """A metric of two results; the pair's difference is the second's less the first's."""

    measure: Measure
    values: tuple[float | None, float | None]
    measured: tuple[Measured, Measured]
    pair: Pair

    def side(self, index: int) -> str | None:
        """Return a side's value with its interval."""
        value, interval = self.values[index], self.measured[index].interval
        if value is None:
            return None
        form = self.measure.form
        return f"{form(value)} {wording.interval(interval, form)}" if interval else form(value)


_METRIC_COLUMNS = [
    Column("metric", right=False, value=lambda row: row.measure.label),
    Column(value=lambda row: row.measure.short, raw="metric"),
    Column("A [95 %]", value=lambda row: row.side(0)),
    Column("B [95 %]", value=lambda row: row.side(1)),
    Column("B − A [95 %]", value=lambda row: wording.absolute(row.pair.absolute, row.measure.form)),
    Column("in %", value=lambda row: wording.relative(row.pair.relative)),
    Column("d", value=lambda row: row.pair.d, form=lambda d: f"{d:+.2f}"),
    Column("p", value=lambda row: row.pair.corrected, form=wording.p_value),
    Column("better", right=False, value=lambda row: wording.verdict(row.pair, row.measure, "B", "A")),
    Column(value=lambda row: row.pair, raw="b_a"),
]


def _metrics(first: RunResult, second: RunResult) -> tuple[Section, list[dict[str, Any]]]:
    """Return every metric of either result, with the paired difference where their items are the same."""
    apart = differences(first, second)
    known = list(measures([first, second]))
    items = measured_together([_setting(result) for result in (first, second)], known)
    same_tokens = base_label(first) == base_label(second)
    rows = [
        MetricRow(
            measure,
            (first.number(measure.name), second.number(measure.name)),
            (items[0][measure.name], items[1][measure.name]),
            Pair()
            if apart or (measure.per_token and not same_tokens)
            else pair(items[1][measure.name], items[0][measure.name]),
        )
        for measure in known
    ]
    corrected = together([row.pair for row in rows])
    rows = [replace(row, pair=found) for row, found in zip(rows, corrected, strict=True)]
    notes = [f"No tests, since these runs may not be compared: {'; '.join(apart)}."] if apart else []
    if not same_tokens:
        notes.append("Metrics that count tokens aren't tested between models, whose tokenizers may differ.")
    notes += wording.troubles(part for row in rows for part in (*row.measured, row.pair))
    notes += wording.evaluated_on(row.measured[0].estimate for row in rows)
    return Section("Metrics", cells(_METRIC_COLUMNS, rows), notes, shown(_METRIC_COLUMNS)), raw_rows(
        _METRIC_COLUMNS, rows
    )


def _items(first: RunResult, second: RunResult, most: int) -> Section:
    """Return the items that both have and in which the results differ most, with both replies."""
    columns = [Column("item", right=False), Column("A"), Column("B"), Column("reply of A", right=False)]
    columns += [Column("reply of B", right=False), Column("reference", right=False)]
    title = "Items that differ most"
    try:
        one, other = (_by_id(result) for result in (first, second))
    except SamplesError as error:
        return Section(title, [], [f"{error}."], columns)
    shared = [key for key in one if key in other]
    ruler = _ruler(list(measures([first, second])), [(one[key], other[key]) for key in shared])
    if ruler is None:
        return Section(title, [], ["No items in common with a metric of their own."], columns)
    measure, values = ruler
    distances = {key: _distance(measure, *both) for key, both in zip(shared, values, strict=True) if None not in both}
    scored = {key: both for key, both in zip(shared, values, strict=True) if key in distances}
    ordered = sorted(scored, key=lambda key: (-distances[key], key))
    rows = [
        [
            key,
            *(measure.form(value) for value in scored[key] if value is not None),
            *(_reply(line.get("prediction")) for line in (one[key], other[key])),
            _reply(one[key].get("reference")),
        ]
        for key in ordered[:most]
    ]
    count = f"{len(rows)} of {len(ordered)} items shown"
    notes = [f"By {measure.label}, {measure.direction}; {count}. Texts are cut at {_LONGEST} characters."]
    alone = len(one) + len(other) - 2 * len(shared)
    notes += [f"{alone} items are of one of the runs only."] if alone else []
    return Section(title, rows, notes, columns)


Scores = Sequence[tuple[float | None, float | None]]


def _ruler(
    known: Sequence[Measure], items: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> tuple[Measure, Scores] | None:
    """Return the first metric of which items have values of their own, with both results' values of each item."""
    from ..statistics.aggregates import item_scores

    for measure, score in item_scores(known):
        values = [(score(one), score(other)) for one, other in items]
        if any(None not in both for both in values):
            return measure, values
    return None


def _distance(measure: Measure, one: float | None, other: float | None) -> float:
    """Return how far two values are from each other: of a metric on a log scale, their logarithms."""
    assert one is not None and other is not None
    if measure.log_scale and one > 0 and other > 0:
        return abs(math.log(one) - math.log(other))
    return abs(one - other)


def _by_id(result: RunResult) -> dict[str, Mapping[str, Any]]:
    items = read_items(result)
    return {str(line["id"]): line for line in items.lines} if items else {}


def _reply(text: Any) -> str:
    return _cut(text) if isinstance(text, str) else ABSENT


def _cut(text: str) -> str:
    """Return a text on one line, cut where it's long; tables escape it."""
    line = " ".join(text[: 4 * _LONGEST].split())
    return line if len(line) <= _LONGEST and len(text) <= 4 * _LONGEST else f"{line[:_LONGEST]}…"
