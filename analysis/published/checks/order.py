"""Ranks: whether rows stand in the order of their own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from ...tables.table import Column, Section
from ..boards import Board
from ..rounding import FOLLOWS, Printed, Range, Verdict
from .outcome import CheckOutcome, known, raw


def check(board: Board, spec: Mapping[str, Any]) -> CheckOutcome:
    """Recompute each row's rank from one column; rows that print the same number may stand in either order."""
    table = board.table(spec["table"])
    column = table.column(spec["metric"])
    numbers = known(table, column)
    values = [value for _, value in numbers]
    rows, raws, flags = [], [], []
    for rank, (row, value) in enumerate(numbers, start=1):
        range_ = ranks(value, values, column.better != "lower")
        follows = range_.low <= rank <= range_.high
        verdict = FOLLOWS if follows else Verdict(f"flag: rank {_told(range_)} by its own number", True)
        rows.append([str(rank), row.name, value.text, _told(range_), verdict.words])
        raws.append(raw("order", table, row.name, column.metric, "rank", None, range_.low, range_, verdict))
        if verdict.flagged:
            sentence = f"{row.name} stands {rank}., but {column.label} {value.text} is rank {_told(range_)}."
            flags.append((table.key, sentence))
    return CheckOutcome(Section(f"Recomputed: {spec['title']}", rows, (), _COLUMNS), raws, flags)


_COLUMNS = (
    Column("rank printed"),
    Column("model", right=False),
    Column("its number"),
    Column("rank recomputed"),
    Column("verdict", right=False),
)


def ranks(value: Printed, others: Sequence[Printed], higher_is_better: bool = True) -> Range:
    """Return the first and last rank that a printed number can have among others (itself included)."""
    sign = 1 if higher_is_better else -1
    better = sum(sign * other.value > sign * value.value for other in others)
    same = sum(other.value == value.value for other in others)
    return Range(Fraction(better + 1), Fraction(better + same))


def _told(range_: Range) -> str:
    return f"{range_.low}" if range_.low == range_.high else f"{range_.low}–{range_.high}"
