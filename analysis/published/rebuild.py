"""A published board as a table: what was printed, with its flags; what follows from it; what could be noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..tables.table import Column, Section, Table
from . import checks, noise
from .boards import CHANGE, Board, Heading, Printing, Targets, board, names
from .checks.outcome import CheckOutcome
from .rounding import Printed

UNKNOWN = "?"


def build(of: Board, sd: float | None = None) -> Table:
    """Return a board rebuilt from its numbers, everything derived recomputed, and what doesn't follow flagged.

    `sd` is the standard deviation to assume of an item's score, for the ranks that could be noise. Raises `UserError`
    for one that can't be, and `DataError` for a board whose file isn't right.
    """
    outcomes = checks.run(of)
    flags = [flag for outcome in outcomes for flag in outcome.flags]
    printed = [_printed(table, [sentence for key, sentence in flags if key == table.key]) for table in of.tables]
    if of.targets:
        printed.append(_targets(of.targets, of.table(of.targets.table)))
    sections = [*printed, *(outcome.section for outcome in outcomes), *noise.sections(of, sd)]
    return Table(
        title=f"Published board {of.name}: {of.about}",
        columns=(),
        sections=sections,
        notes=[_verdict(len(flags), outcomes), *of.notes, *unknown_of(of)],
        raw=[*_raw(of), *(row for outcome in outcomes for row in outcome.raw), *noise.as_raw(of, sd)],
    )


def overview() -> Table:
    """Return a table of all boards, with how many numbers each has, and how many flags."""
    rows, raw = [], []
    for name in names():
        of = board(name)
        numbers, flags = len(_raw(of)), sum(len(outcome.flags) for outcome in checks.run(of))
        rows.append([name, of.about, str(numbers), str(flags)])
        raw.append({"board": name, "about": of.about, "numbers": numbers, "flags": flags})
    columns = (Column("board", right=False), Column("what", right=False), Column("numbers"), Column("flags"))
    notes = [
        "`python -m analysis published NAME` rebuilds a board and checks it; "
        "`python -m analysis leaderboard --against NAME` sets it beside our runs.",
        "Numbers are those that are known here; flags are printed numbers that don't follow from others.",
    ]
    return Table("Published boards", columns, [Section("Boards", rows)], notes, raw)


def items_of(n: int | None) -> str:
    return "n unknown" if n is None else f"n = {n} items"


def _printed(table: Printing, flags: Sequence[str]) -> Section:
    ranked = table.ranked_by is not None
    columns = [*([Column("rank")] if ranked else []), Column(table.heading, right=False)]
    columns += [Column(column.label) for column in table.columns]
    rows = [
        [*([str(rank)] if ranked else []), row.name, *(_cell(row.values[c.metric], c) for c in table.columns)]
        for rank, row in enumerate(table.rows, start=1)
    ]
    decoding = table.decoding or "unknown"
    notes = [f"Source: {table.source}; {items_of(table.n)}; decoding: {decoding}. {_units(table.columns)}"]
    if any(value is None for row in table.rows for value in row.values.values()):
        notes.append(f"{UNKNOWN}: the number isn't known here, nor whether it was printed.")
    return Section(table.title, rows, [*(f"Flag: {sentence}" for sentence in flags), *notes], columns)


def _cell(value: Printed | None, column: Heading) -> str:
    if value is None:
        return UNKNOWN
    return f"{value.text} %" if column.unit == CHANGE else value.text


def _units(columns: Sequence[Heading]) -> str:
    by_unit: dict[str, list[str]] = {}
    for column in columns:
        by_unit.setdefault(column.unit or "unknown", []).append(column.label)
    return "Units: " + "; ".join(f"{', '.join(labels)}: {unit}" for unit, labels in by_unit.items()) + "."


def _targets(targets: Targets, table: Printing) -> Section:
    rows = [[table.column(metric).label, f"{low.text}–{high.text}"] for metric, (low, high) in targets.ranges.items()]
    columns = (Column("metric", right=False), Column("target"))
    return Section(targets.title, rows, [f"Source: {targets.source}; for {targets.row}. Units: fraction."], columns)


def _verdict(flags: int, outcomes: Sequence[CheckOutcome]) -> str:
    judged = sum(row["printed"] is not None or row["check"] == "order" for outcome in outcomes for row in outcome.raw)
    if flags:
        return f"{flags} of {judged} printed numbers that were checked are flagged; each stands below its table."
    return (
        f"{judged} printed numbers were checked, and none is flagged."
        if judged
        else ("Nothing printed here was derived from another printed number, so there is nothing to check.")
    )


def unknown_of(of: Board) -> list[str]:
    """Return a sentence on what isn't known of a board."""
    return [f"Unknown: {'; '.join(of.unknown)}."] if of.unknown else []


def _raw(of: Board) -> list[Mapping[str, Any]]:
    """Return every number that was printed, with all that is known of it."""
    rows: list[Mapping[str, Any]] = [
        {
            "kind": "printed",
            "table": table.key,
            "row": row.name,
            "metric": column.metric,
            "printed": value.text,
            "unit": column.unit,
            "source": table.source,
            "n": table.n,
            "decoding": table.decoding,
        }
        for table in of.tables
        for row in table.rows
        for column in table.columns
        if (value := row.values[column.metric]) is not None
    ]
    if of.targets:
        rows += [
            {
                "kind": "target",
                "table": of.targets.table,
                "row": of.targets.row,
                "metric": metric,
                "printed": f"{low.text}–{high.text}",
                "unit": "fraction",
                "source": of.targets.source,
                "low": float(low.value),
                "high": float(high.value),
            }
            for metric, (low, high) in of.targets.ranges.items()
        ]
    return rows
