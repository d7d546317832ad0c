"""Our runs beside a published board: in a section of their own, unranked, with what sets the two apart in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..read.measures import measure
from ..read.results import Record, Selection
from ..read.settings import Setting, dataset_label, model_label, settings
from ..statistics.spread import Spread
from ..tables import numbers
from ..tables.notes import group_by_key, key_label, told_seeds
from ..tables.references import marked
from ..tables.table import Column, Section, Table
from .boards import MEAN_PERPLEXITY, PERCENT, Board, Heading, Printing, board
from .checks.units import to_ours
from .rebuild import UNKNOWN, told_unknown
from .rounding import Printed, plain

_OURS = "ours"
_A_TOKEN = ("completion_ppl", "completion_nll")


@dataclass(frozen=True)
class Reference:
    """A published number in our units; `text` has the digits that were printed."""

    value: float
    text: str


@dataclass(frozen=True)
class ReferenceRow:
    """A published row, by the metrics that our records have; `n` and `decoding` are None where they aren't known."""

    board: str
    name: str
    table: str
    source: str
    n: int | None
    decoding: str | None
    values: Mapping[str, Reference]


def reference_rows(name: str) -> list[ReferenceRow]:
    """Return a board's rows in our units; raises `UserError`, with the nearest name, for an unknown board.

    A row that was printed in two places is there twice. Metrics that we don't have, or not in that unit, are left out:
    `against` says which and why.
    """
    return _rows(board(name))


def against(name: str, records: Sequence[Record]) -> tuple[list[Section], list[dict[str, Any]]]:
    """Return completed runs beside a board: a section for each comparability key, and the raw rows.

    Nothing is ranked across the two, since no published board has all that a comparability key stands for: its very
    items, rendering, decoding and versions of metrics. Raises `UserError` for an unknown board.
    """
    theirs = board(name)
    sections, raw = [], []
    for key, of_key in group_by_key(records).items():
        section, rows = _section(theirs, key, of_key)
        sections.append(section)
        raw += rows
    return sections, raw


def beside(table: Table, name: str, selection: Selection) -> Table:
    """Return one of our tables with a published board below its sections, beside the same runs; raises `UserError`
    for an unknown board."""
    sections, raw = against(name, selection.completed())
    theirs = [row for row in raw if row["whose"] != _OURS]
    return replace(
        table,
        title=f"{table.title}, and beside {name}",
        sections=[*table.sections, *sections],
        notes=[*table.notes, *told_unknown(board(name))],
        raw=[*({"whose": _OURS, **row} for row in table.raw), *theirs],
    )


def _rows(of: Board) -> list[ReferenceRow]:
    return [
        ReferenceRow(of.name, row.name, table.key, table.source, table.n, table.decoding, _converted(table, row.values))
        for table in map(of.table, of.reference)
        for row in table.rows
    ]


def _converted(table: Printing, values: Mapping[str, Printed | None]) -> dict[str, Reference]:
    found = {}
    for column in table.columns:
        value = values[column.metric]
        if column.ours is not None and value is not None:
            found[column.ours] = _reference(value, column)
    return found


def _reference(value: Printed, column: Heading) -> Reference:
    ours = to_ours(value.value, column.unit)
    text = plain(ours, value.decimals + 2) if column.unit == PERCENT else value.text
    return Reference(float(ours), text)


def _section(theirs: Board, key: str, records: Sequence[Record]) -> tuple[Section, list[dict[str, Any]]]:
    found = settings(records)
    published = _rows(theirs)
    metrics = [
        metric
        for metric in dict.fromkeys(metric for row in published for metric in row.values)
        if any(setting.spread(f"metrics.{metric}") for setting in found)
    ]
    shown = [row for row in published if any(metric in row.values for metric in metrics)]
    rows = [_ours(setting, metrics) for setting in found]
    rows += [_theirs(row, metrics) for row in shown]
    columns = [*_COLUMNS, *(Column(_heading(theirs, metric)) for metric in metrics)]
    label = " / ".join(dict.fromkeys(map(dataset_label, records)))
    title = f"Ours ({label}, {key_label(key)}) beside {theirs.name}: not comparable"
    raw = [_raw_ours(setting, key, metrics) for setting in found] + [_raw_theirs(row, metrics) for row in shown]
    return Section(title, rows, _differences(theirs, records, metrics), columns), raw


_COLUMNS = (
    Column("whose", right=False),
    Column("model or row", right=False),
    Column("method", right=False),
    Column("seeds"),
    Column("items"),
    Column("decoding", right=False),
)


def _heading(theirs: Board, metric: str) -> str:
    """Return what the board calls a metric: how it's defined there isn't known, so ours is not the word for both."""
    columns = (column for key in theirs.reference for column in theirs.table(key).columns)
    column = next(column for column in columns if column.ours == metric)
    return f"{column.label} (0–1)" if column.unit == PERCENT else column.label


def _ours(setting: Setting, metrics: Sequence[str]) -> list[str]:
    first, runs = setting.first, len(setting.records)
    spreads = ((setting.spread(f"metrics.{metric}"), measure(metric).form) for metric in metrics)
    return [
        _OURS,
        model_label(first),
        marked(setting),
        told_seeds(setting),
        numbers.count(first.number("data.eval_examples")),
        _decoding(first),
        *(numbers.with_spread(spread, form, runs) for spread, form in spreads),
    ]


def _theirs(row: ReferenceRow, metrics: Sequence[str]) -> list[str]:
    return [
        f"theirs ({row.table})",
        row.name,
        numbers.ABSENT,
        UNKNOWN,
        UNKNOWN if row.n is None else str(row.n),
        row.decoding or UNKNOWN,
        *(row.values[metric].text if metric in row.values else UNKNOWN for metric in metrics),
    ]


def _decoding(record: Record) -> str:
    """Return a run's decoding with its settings, such as `greedy, max_new_tokens=64`."""
    generation = record.get("config.generation")
    if not isinstance(generation, Mapping):
        return UNKNOWN
    told = [f"{key}={value}" for key, value in generation.items() if key != "method" and value is not None]
    return ", ".join([str(generation.get("method", UNKNOWN)), *told])


def _differences(theirs: Board, records: Sequence[Record], metrics: Sequence[str]) -> list[str]:
    """Say, one sentence each, what sets the two apart, and which of their numbers don't stand here."""
    tables = [theirs.table(key) for key in theirs.reference]
    labels = ", ".join(dict.fromkeys(map(dataset_label, records)))
    sources = "; ".join(f"{table.source} ({table.key})" for table in tables)
    notes = [
        f"Theirs: {sources}.",
        f"Not comparable, so not ranked. Data: theirs are {theirs.name}'s own items, ours {labels}; "
        "that any are the same can't be shown.",
    ]
    if any(metric not in _A_TOKEN for metric in metrics):
        own = "; ".join(dict.fromkeys(map(_decoding, records)))
        other = ", ".join(f"{table.decoding or 'unknown'} ({table.key})" for table in tables)
        notes.append(f"Decoding: theirs {other}; ours {own}.")
    if any(metric in _A_TOKEN for metric in metrics):
        notes.append(
            "Tokens: perplexities and losses are a token of each model's own tokenizer; ours count completion tokens, "
            "which ones theirs count is unknown."
        )
    columns = [column for table in tables for column in table.columns]
    converted = [column.label for column in columns if column.unit == PERCENT and column.ours in metrics]
    if converted:
        notes.append(f"Units: printed as 0–100, and fractions here: {', '.join(converted)}.")
    if metrics:
        ours = ", ".join(measure(metric).label for metric in metrics)
        notes.append(f"Definitions: ours are {ours}; whether theirs were computed alike isn't known.")
    notes += [_left_out(column) for column in _unique(columns) if column.ours not in metrics]
    return notes if metrics else [*notes, "No number of theirs has the metric and unit of one of ours."]


def _unique(columns: Sequence[Heading]) -> list[Heading]:
    return list({column.metric: column for column in columns}.values())


def _left_out(column: Heading) -> str:
    if column.unit == MEAN_PERPLEXITY:
        reason = "a mean of per-story perplexities isn't the perplexity of a corpus, which is what ours are"
    elif column.ours is None:
        reason = "its unit isn't known" if column.unit is None else "it's no metric of ours"
    else:
        reason = f"no run here has {column.ours}"
    return f"Left out: their {column.label}, since {reason}."


def _raw_ours(setting: Setting, key: str, metrics: Sequence[str]) -> dict[str, Any]:
    spreads: dict[str, Spread | None] = {metric: setting.spread(f"metrics.{metric}") for metric in metrics}
    return {
        "whose": _OURS,
        "comparability_key": key,
        "row": f"{model_label(setting.first)} {setting.label}",
        "n": setting.first.number("data.eval_examples"),
        "decoding": _decoding(setting.first),
        **{metric: spread and spread.mean for metric, spread in spreads.items()},
        "run_ids": " ".join(record.run_id for record in setting.records),
    }


def _raw_theirs(row: ReferenceRow, metrics: Sequence[str]) -> dict[str, Any]:
    values = {metric: row.values[metric].value if metric in row.values else None for metric in metrics}
    start = {"whose": f"theirs: {row.board}, {row.source}", "comparability_key": None, "row": row.name}
    return {**start, "n": row.n, "decoding": row.decoding, **values, "run_ids": ""}
