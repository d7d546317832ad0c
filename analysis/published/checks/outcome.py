"""What a check gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ...tables.table import Section
from ..boards import Heading, PrintedRow, Printing
from ..rounding import Printed, Range, Verdict


@dataclass(frozen=True)
class CheckOutcome:
    """`flags` are the sentences of what doesn't follow, by the key of the printed table that they are about."""

    section: Section
    raw: Sequence[Mapping[str, Any]] = ()
    flags: Sequence[tuple[str, str]] = ()


def raw(
    check: str,
    table: Printing,
    row: str,
    metric: str,
    formula: str,
    printed: Printed | None,
    recomputed: Fraction,
    range_: Range,
    verdict: Verdict,
) -> dict[str, Any]:
    """Return a recomputed number for CSV and JSON, at full precision."""
    return {
        "kind": "recomputed",
        "check": check,
        "table": table.key,
        "row": row,
        "metric": metric,
        "formula": formula,
        "printed": None if printed is None else printed.text,
        "recomputed": float(recomputed),
        "low": float(range_.low),
        "high": float(range_.high),
        "verdict": verdict.words,
    }


def known(table: Printing, column: Heading) -> list[tuple[PrintedRow, Printed]]:
    """Return the rows whose number in a column is known, with it."""
    values = [(row, row.values[column.metric]) for row in table.rows]
    return [(row, value) for row, value in values if value is not None]
