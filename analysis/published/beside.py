"""Our runs beside a published board: in a section of their own, unranked, with what sets the two apart in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from persona_sweeps.errors import UserError

from ..read.comparable import Comparable
from ..read.labels import dataset_label, decoding_label, model_label
from ..read.measures import METRICS, Measure
from ..read.results import RunResult
from ..read.selection import Selection
from ..read.settings import Setting
from ..statistics.shared_items import on_shared_items
from ..tables.numbers import ABSENT, Reading, by, count, reading
from ..tables.references import with_rate
from ..tables.table import Column, Section, Table, cells, raw_rows, shown
from .boards import MEAN_PERPLEXITY, PERCENT, Board, Heading, Printing, board
from .checks.units import to_ours
from .rebuild import UNKNOWN, unknown_of
from .rounding import Printed, plain

_OURS = "ours"


@dataclass(frozen=True)
class PublishedNumber:
    """A published number in our units; `text` has the digits that were printed."""

    value: float
    text: str


@dataclass(frozen=True)
class PublishedRow:
    """A published row, by the metrics that our records have; `n` and `decoding` are None where they aren't known."""

    board: str
    name: str
    table: str
    source: str
    n: int | None
    decoding: str | None
    values: Mapping[str, PublishedNumber]


def reference_rows(name: str) -> list[PublishedRow]:
    """Return a board's rows in our units; raises `UserError`, with the nearest name, for an unknown board.

    A row that was printed in two places is there twice. Metrics that we don't have, or not in that unit, are left out:
    `against` says which and why.
    """
    return _rows(board(name))


def against(name: str, results: Sequence[RunResult]) -> tuple[list[Section], list[dict[str, Any]]]:
    """Return scored results beside a board: a section for each comparability key, and the raw rows.

    Nothing is ranked across the two, since no published board has all that a comparability key stands for: its very
    items, rendering, decoding and versions of metrics. Raises `UserError` for an unknown board.
    """
    theirs = board(name)
    sections, raw = [], []
    for group in on_shared_items(results):
        section, rows = _section(theirs, group)
        sections.append(section)
        raw += rows
    return sections, raw


def refuse_without(name: str, metric: Measure) -> None:
    """Raise `UserError` where a board has no number to set beside one of our metrics."""
    theirs = board(name)
    columns = [column for key in theirs.reference for column in theirs.table(key).columns]
    if metric.short not in {column.ours for column in columns}:
        has = ", ".join(dict.fromkeys(column.label for column in columns))
        raise UserError(f"--against {name}: that board has no {metric.label} to set beside ours; it has {has}.")


def beside(table: Table, name: str, selection: Selection) -> Table:
    """Return one of our tables with a published board below its sections, beside the same runs; raises `UserError`
    for an unknown board."""
    sections, raw = against(name, selection.scored())
    theirs = [row for row in raw if row["whose"] != _OURS]
    return replace(
        table,
        title=f"{table.title}, and beside {name}",
        sections=[*table.sections, *sections],
        notes=[*table.notes, *unknown_of(board(name))],
        raw=[*({"whose": _OURS, **row} for row in table.raw), *theirs],
    )


def _rows(of: Board) -> list[PublishedRow]:
    return [
        PublishedRow(of.name, row.name, table.key, table.source, table.n, table.decoding, _converted(table, row.values))
        for table in map(of.table, of.reference)
        for row in table.rows
    ]


def _converted(table: Printing, values: Mapping[str, Printed | None]) -> dict[str, PublishedNumber]:
    found = {}
    for column in table.columns:
        value = values[column.metric]
        if column.ours is not None and value is not None:
            found[column.ours] = _reference(value, column)
    return found


def _reference(value: Printed, column: Heading) -> PublishedNumber:
    ours = to_ours(value.value, column.unit)
    text = plain(ours, value.decimals + 2) if column.unit == PERCENT else value.text
    return PublishedNumber(float(ours), text)


def _section(theirs: Board, group: Comparable) -> tuple[Section, list[dict[str, Any]]]:
    published = _rows(theirs)
    metrics = [
        group.measures[METRICS + metric]
        for metric in dict.fromkeys(metric for row in published for metric in row.values)
        if any(setting.spread(METRICS + metric) for setting in group.settings)
    ]
    there = [row for row in published if any(metric.short in row.values for metric in metrics)]
    ours = _our_columns(theirs, group.key, metrics)
    columns = _their_columns(theirs, metrics)
    rows = cells(ours, group.settings) + cells(columns, there)
    raw = raw_rows(ours, group.settings) + raw_rows(columns, there)
    title = f"Ours ({group.data.replace(' (comparability', ', comparability')} beside {theirs.name}: not comparable"
    return Section(title, rows, _differences(theirs, group, metrics), shown(ours)), raw


def _our_columns(theirs: Board, key: str, metrics: Sequence[Measure]) -> list[Column]:
    """Return the columns of a setting of ours."""
    return [
        Column("whose", right=False, value=lambda setting: _OURS, raw="whose"),
        Column(value=lambda setting: key, raw="comparability_key"),
        Column(value=lambda setting: f"{model_label(setting.first)} {setting.label}", raw="row"),
        Column("model or row", right=False, value=lambda setting: model_label(setting.first)),
        Column("method", right=False, value=with_rate),
        Column("seeds", value=lambda setting: setting.seeds_label),
        Column("items", value=lambda s: s.first.number("evaluation.data.eval_examples"), form=count, raw="n"),
        Column("decoding", right=False, value=lambda setting: _decoding(setting.first), raw="decoding"),
        *(_our_metric(theirs, metric) for metric in metrics),
        Column(value=lambda setting: " ".join(setting.run_ids), raw="run_ids"),
    ]


def _our_metric(theirs: Board, metric: Measure) -> Column:
    """Return a metric's column: raw rows have its mean alone, as a printed row has one number."""

    def value(setting: Setting) -> _Mean:
        found = reading(setting, metric.name)
        return _Mean(found.spread, found.runs)

    return Column(_heading(theirs, metric), value=value, form=by(metric.form), raw=metric.short)


class _Mean(Reading):
    """A reading of which raw rows have the mean alone."""

    def raw(self, name: str) -> dict[str, Any]:
        return {name: self.spread and self.spread.mean}


def _their_columns(theirs: Board, metrics: Sequence[Measure]) -> list[Column]:
    """Return the columns of a published row, in the same order."""

    def number(metric: Measure) -> list[Column]:
        return [
            Column(_heading(theirs, metric), value=lambda row: _text(row, metric)),
            Column(
                value=lambda row: row.values[metric.short].value if metric.short in row.values else None,
                raw=metric.short,
            ),
        ]

    return [
        Column("whose", right=False, value=lambda row: f"theirs ({row.table})"),
        Column(value=lambda row: f"theirs: {row.board}, {row.source}", raw="whose"),
        Column(value=lambda row: None, raw="comparability_key"),
        Column("model or row", right=False, value=lambda row: row.name, raw="row"),
        Column("method", right=False, value=lambda row: ABSENT),
        Column("seeds", value=lambda row: UNKNOWN),
        Column("items", value=lambda row: UNKNOWN if row.n is None else row.n),
        Column(value=lambda row: row.n, raw="n"),
        Column("decoding", right=False, value=lambda row: row.decoding or UNKNOWN),
        Column(value=lambda row: row.decoding, raw="decoding"),
        *(column for metric in metrics for column in number(metric)),
        Column(value=lambda row: "", raw="run_ids"),
    ]


def _text(row: PublishedRow, metric: Measure) -> str:
    return row.values[metric.short].text if metric.short in row.values else UNKNOWN


def _heading(theirs: Board, metric: Measure) -> str:
    """Return what the board calls a metric: how it's defined there isn't known, so ours is not the word for both."""
    columns = (column for key in theirs.reference for column in theirs.table(key).columns)
    column = next(column for column in columns if column.ours == metric.short)
    return f"{column.label} (0–1)" if column.unit == PERCENT else column.label


def _decoding(result: RunResult) -> str:
    """Return a run's decoding with its settings, such as `greedy, max_new_tokens=64`."""
    return decoding_label(result, ", ") or UNKNOWN


def _differences(theirs: Board, group: Comparable, metrics: Sequence[Measure]) -> list[str]:
    """Say, one sentence each, what sets the two apart, and which of their numbers don't stand here."""
    tables = [theirs.table(key) for key in theirs.reference]
    labels = ", ".join(dict.fromkeys(map(dataset_label, group.results)))
    sources = "; ".join(f"{table.source} ({table.key})" for table in tables)
    notes = [
        f"Theirs: {sources}.",
        f"Not comparable, so not ranked. Data: theirs are {theirs.name}'s own items, ours {labels}; "
        "that any are the same can't be shown.",
    ]
    if any(not metric.per_token for metric in metrics):
        own = "; ".join(dict.fromkeys(map(_decoding, group.results)))
        other = ", ".join(f"{table.decoding or 'unknown'} ({table.key})" for table in tables)
        notes.append(f"Decoding: theirs {other}; ours {own}.")
    if any(metric.per_token for metric in metrics):
        notes.append(
            "Tokens: perplexities and losses are a token of each model's own tokenizer; ours count completion tokens, "
            "which ones theirs count is unknown."
        )
    columns = [column for table in tables for column in table.columns]
    ours = {metric.short for metric in metrics}
    converted = [column.label for column in columns if column.unit == PERCENT and column.ours in ours]
    if converted:
        notes.append(f"Units: printed as 0–100, and fractions here: {', '.join(converted)}.")
    if metrics:
        defined = "; ".join(metric.explanation or metric.label for metric in metrics)
        notes.append(f"Definitions: of ours, {defined}. Whether theirs were computed alike isn't known.")
    notes += [_left_out(column) for column in _unique(columns) if column.ours not in ours]
    return notes if metrics else [*notes, "No number of theirs has the metric and unit of one of ours."]


def _unique(columns: Sequence[Heading]) -> list[Heading]:
    return list({column.metric: column for column in columns}.values())


def _left_out(column: Heading) -> str:
    if column.unit == MEAN_PERPLEXITY:
        reason = (
            "a mean of per-story perplexities isn't the perplexity of a corpus; metrics.likelihood.mean_of_exp=true "
            "gives ours, and no run here has it"
        )
    elif column.ours is None:
        reason = "its unit isn't known" if column.unit is None else "it's no metric of ours"
    else:
        reason = f"no run here has {column.ours}"
    return f"Left out: their {column.label}, since {reason}."
