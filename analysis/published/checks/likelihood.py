"""Losses and perplexities: one is the exponential of the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from persona_sweeps.errors import DataError

from ...tables.table import Column, Section
from ..boards import MEAN_PERPLEXITY, NLL, PERPLEXITY, Board, Heading, Printing
from ..rounding import Printed, Range, judge, plain, span
from .outcome import CheckOutcome, known, raw


@dataclass(frozen=True)
class Conversion:
    """What a unit of likelihood is converted to, by which increasing function, shown with so many decimals."""

    to: str
    formula: str
    apply: Callable[[float], float]
    decimals: int
    bound: str = ""
    note: str = ""


CONVERSIONS: dict[str | None, Conversion] = {
    NLL: Conversion(PERPLEXITY, "exp(loss)", math.exp, 2),
    PERPLEXITY: Conversion(NLL, "ln(PPL)", math.log, 4),
    MEAN_PERPLEXITY: Conversion(
        "mean NLL of the stories, nats a token",
        "ln(mean PPL)",
        math.log,
        4,
        bound="at most ",
        note="A mean of per-story perplexities isn't the perplexity of the corpus: every story weighs the same however "
        "long it is, and hard stories pull the mean up. By Jensen's inequality its logarithm is an upper bound of the "
        "stories' mean NLL; the corpus perplexity doesn't follow from it. Our mean PPL is such a mean.",
    ),
}
"""by the unit that was printed"""


def check(board: Board, spec: Mapping[str, Any]) -> CheckOutcome:
    """Convert losses to perplexities or back; where a row printed both, judge whether one follows from the other."""
    table = board.table(spec["table"])
    rows, raws, flags, notes = [], [], [], []
    for column in table.columns:
        if column.unit not in CONVERSIONS:
            continue
        conversion = CONVERSIONS[column.unit]
        twin = next((other for other in table.columns if other.unit == conversion.to), None)
        for row, value in known(table, column):
            nominal, range_ = convert(value, conversion)
            claimed = row.values[twin.metric] if twin else None
            verdict = judge(claimed, nominal, range_, plain)
            rows.append(
                [
                    row.name,
                    column.label,
                    value.text,
                    conversion.formula,
                    "–" if claimed is None else claimed.text,
                    f"{conversion.bound}{plain(nominal, conversion.decimals)}",
                    span(range_, conversion.decimals),
                    verdict.words,
                ]
            )
            raws.append(
                raw("likelihood", table, row.name, column.metric, conversion.formula, claimed, nominal, range_, verdict)
            )
            if twin and claimed and verdict.flagged:
                flags.append((table.key, _flag(row.name, column, value, twin, claimed, nominal, conversion)))
        notes += [conversion.note] if conversion.note else []
        notes += _as_perplexity(table, column)
    return CheckOutcome(Section(f"Recomputed: {spec['title']}", rows, notes, _COLUMNS), raws, flags)


_COLUMNS = (
    Column("row", right=False),
    Column("metric", right=False),
    Column("from"),
    Column("formula", right=False),
    Column("printed"),
    Column("recomputed"),
    Column("range by rounding"),
    Column("verdict", right=False),
)


def convert(value: Printed, conversion: Conversion) -> tuple[Fraction, Range]:
    """Return a printed number converted, and the range by what its rounding hides."""
    ends = (value.value, value.range.low, value.range.high)
    if conversion.apply is math.log and value.range.low <= 0:
        raise DataError(f"{value.text} is no perplexity: one is at least 1.")
    nominal, low, high = (Fraction(conversion.apply(float(end))) for end in ends)
    return nominal, Range(low, high)


def _flag(
    name: str,
    column: Heading,
    value: Printed,
    twin: Heading,
    claimed: Printed,
    nominal: Fraction,
    conversion: Conversion,
) -> str:
    return (
        f"{name}: {twin.label} {claimed.text} is printed; {conversion.formula} of {column.label} {value.text} is "
        f"{plain(nominal, claimed.decimals + 1)}."
    )


def _as_perplexity(table: Printing, column: Heading) -> list[str]:
    """Say by how much the perplexity changed from the first row of a loss to the last."""
    numbers = known(table, column)
    if column.unit != NLL or len(numbers) < 2:
        return []
    (first, start), (last, end) = numbers[0], numbers[-1]
    ratio = math.exp(float(end.value - start.value))
    hidden = float(start.half + end.half)
    return [
        f"Perplexity {last.name} is {100 * ratio:.1f} % of that {first.name}: exp({end.text} − {start.text}), "
        f"{100 * ratio * math.exp(-hidden):.1f} to {100 * ratio * math.exp(hidden):.1f} % by rounding."
    ]
