"""Targets: whether a row reached what it was meant to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from persona_sweeps.errors import DataError

from ...tables.table import Column, Section
from ..boards import Board
from ..rounding import Printed, Range, Verdict, percent, plain
from .outcome import CheckOutcome, raw


def check(board: Board, spec: Mapping[str, Any]) -> CheckOutcome:
    """Compare a row's numbers with their target ranges (higher is better), and say what they lack of the lower end."""
    targets = board.targets
    if targets is None:
        raise DataError(f"Published board {board.name!r} has a check of targets, and no targets.")
    table = board.table(targets.table)
    row = table.row(targets.row)
    rows, raws, met = [], [], 0
    for metric, (low, high) in targets.ranges.items():
        value = row.values[table.column(metric).metric]
        if value is None:
            rows.append([table.column(metric).label, "?", f"{low.text}–{high.text}", "?", "?", "unknown"])
            continue
        verdict = judge_target(value, low, high)
        met += value.value >= low.value
        lacking = low.value - value.value
        rows.append(
            [
                table.column(metric).label,
                value.text,
                f"{low.text}–{high.text}",
                plain(lacking, value.decimals) if lacking > 0 else "–",
                percent(100 * (low.value / value.value - 1), 0) if lacking > 0 and value.value else "–",
                verdict.words,
            ]
        )
        ends = Range(low.value, high.value)
        raws.append(raw("targets", table, row.name, metric, "target", value, value.value, ends, verdict))
    notes = [f"{targets.row}: {met} of {len(targets.ranges)} targets met."]
    return CheckOutcome(Section(f"Compared: {spec['title']}", rows, notes, _COLUMNS), raws)


_COLUMNS = (
    Column("metric", right=False),
    Column("winner"),
    Column("target"),
    Column("short of it by"),
    Column("gain still needed"),
    Column("verdict", right=False),
)


def judge_target(value: Printed, low: Printed, high: Printed) -> Verdict:
    """Say where a number stands to a target range, whose ends belong to it."""
    if value.value < low.value:
        return Verdict("missed", False)
    return Verdict("exceeded" if value.value > high.value else "met", False)
