"""Units: what a printed number is in those of our records."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ...tables.table import Column, Section
from ..boards import FRACTION, PERCENT, Board, Heading, Printing
from ..rounding import Printed, Range, Verdict, plain
from .outcome import CheckOutcome, known, raw

_SCALES: dict[str | None, Fraction] = {PERCENT: Fraction(1, 100), FRACTION: Fraction(1)}
_UNCHANGED = Fraction(1)
CONVERTED = Verdict("read as percent: above 1, so no fraction", False)
DOUBTFUL = Verdict("read as percent, though it could be a fraction", False)
TOO_LARGE = Verdict("flag: a fraction can't exceed 1, nor a percentage 100", True)


def to_ours(value: Fraction, unit: str | None) -> Fraction:
    """Return a number in our units: percent as fractions, all else as it is."""
    return value * _SCALES.get(unit, _UNCHANGED)


def check(board: Board, spec: Mapping[str, Any]) -> CheckOutcome:
    """Convert what is printed in percent to our fractions, and say why it's read so."""
    table = board.table(spec["table"])
    rows, raws, flags = [], [], []
    for column in table.columns:
        if column.unit != PERCENT:
            continue
        for row, value in known(table, column):
            ours = to_ours(value.value, column.unit)
            ends = Range(to_ours(value.range.low, column.unit), to_ours(value.range.high, column.unit))
            verdict = _verdict(value)
            rows.append([column.label, row.name, value.text, plain(ours, value.decimals + 2), verdict.words])
            raws.append(raw("units", table, row.name, column.metric, "printed/100", value, ours, ends, verdict))
            if verdict.flagged:
                sentence = f"{row.name}, {column.label}: {value.text} is no percentage of 0–100."
                flags.append((table.key, sentence))
    notes = _notes(table, [column for column in table.columns if column.unit == PERCENT])
    return CheckOutcome(Section(f"Recomputed: {spec['title']}", rows, notes, _COLUMNS), raws, flags)


_COLUMNS = (
    Column("metric", right=False),
    Column("row", right=False),
    Column("printed"),
    Column("as ours (0–1)"),
    Column("verdict", right=False),
)


def _verdict(value: Printed) -> Verdict:
    if not 0 <= value.value <= 100:
        return TOO_LARGE
    return CONVERTED if value.value > 1 else DOUBTFUL


def _notes(table: Printing, percentages: list[Heading]) -> list[str]:
    labels = " and ".join(column.label for column in percentages)
    notes = [f"{labels} are printed on a scale of 0–100; our records have fractions in 0–1."] if labels else []
    unknown = [column.label for column in table.columns if column.unit is None]
    return [*notes, f"The unit of {', '.join(unknown)} is unknown: left as printed."] if unknown else notes
