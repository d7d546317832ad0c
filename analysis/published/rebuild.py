"""A published board as a table: what was printed, with its flags; what follows from it; what could be noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..program import PROGRAM
from ..tables.table import Column, Section, Table
from . import checks, noise
from .boards import CHANGE, Board, Fact, Heading, Printing, board, names
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
    if of.facts:
        printed.append(_facts(of.facts))
    sections = [*printed, *(outcome.section for outcome in outcomes), *noise.sections(of, sd)]
    return Table(
        title=f"Published board {of.name}: {of.about}",
        columns=(),
        sections=sections,
        notes=[_verdict(of, len(flags), outcomes), *of.notes, *unknown_of(of)],
        raw=[*_raw(of), *(row for outcome in outcomes for row in outcome.raw), *noise.as_raw(of, sd)],
    )


def overview() -> Table:
    """Return a table of all boards, with how many numbers each has, and how many flags."""
    rows, raw = [], []
    for name in names():
        of = board(name)
        numbers = len(_raw(of))
        flags = sum(len(outcome.flags) for outcome in checks.run(of)) + _contradicted(of)
        rows.append([name, of.about, str(numbers), str(flags)])
        raw.append({"board": name, "about": of.about, "numbers": numbers, "flags": flags})
    columns = (Column("board", right=False), Column("what", right=False), Column("numbers"), Column("flags"))
    notes = [
        f"`{PROGRAM} published NAME` rebuilds a board and checks it; "
        f"`{PROGRAM} leaderboard --against NAME` sets it beside our runs.",
        "Numbers are those that are known here, with other facts; flags are those that don't follow from others, or "
        "that others contradict.",
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


def _facts(facts: Sequence[Fact]) -> Section:
    rows = [[fact.what, fact.printed, f"flag: {fact.but}" if fact.but else "–"] for fact in facts]
    columns = (Column("what", right=False), Column("printed", right=False), Column("but", right=False))
    return Section("What else was printed", rows, (), columns)


def _contradicted(of: Board) -> int:
    return sum(fact.but is not None for fact in of.facts)


def _verdict(of: Board, flags: int, outcomes: Sequence[CheckOutcome]) -> str:
    derived = sum(r["printed"] is not None and r["check"] in _DERIVED for outcome in outcomes for r in outcome.raw)
    said = (
        f"{derived} printed numbers are derived from others, and were recomputed"
        if derived
        else "Nothing printed here was derived from another printed number"
    )
    flagged = f"{flags} {'is' if flags == 1 else 'are'} flagged, below the table" if flags else "none is flagged"
    facts = f"; {_contradicted(of)} of {len(of.facts)} other facts are contradicted" if _contradicted(of) else ""
    return f"{said}; {flagged}{facts}."


_DERIVED = ("relative", "claims")
"""checks of numbers that were computed from others"""


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
    rows += [{"kind": "fact", "row": fact.what, "printed": fact.printed, "verdict": fact.but} for fact in of.facts]
    return rows
