"""Which row each metric puts first, and whether the metrics agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...tables.table import Column, Section
from ..boards import Board
from .outcome import CheckOutcome, known


def check(board: Board, spec: Mapping[str, Any]) -> CheckOutcome:
    """Order the rows by each metric that says which way is better."""
    table = board.table(spec["table"])
    rows: list[list[str]] = []
    first: dict[str, list[str]] = {}
    for column in table.columns:
        numbers = known(table, column)
        if column.better is None or not numbers:
            continue
        ordered = sorted(numbers, key=lambda item: item[1].value, reverse=column.better == "higher")
        rows.append([column.label, column.better, ", ".join(f"{row.name} ({value.text})" for row, value in ordered)])
        first.setdefault(ordered[0][0].name, []).append(column.label)
    return CheckOutcome(Section(f"Recomputed: {spec['title']}", rows, _notes(first), _COLUMNS))


_COLUMNS = (Column("metric", right=False), Column("better is", right=False), Column("best first", right=False))


def _notes(first: Mapping[str, list[str]]) -> list[str]:
    if len(first) < 2:
        return []
    winners = "; ".join(f"{' and '.join(labels)} put {name} first" for name, labels in first.items())
    return [f"The metrics disagree: {winners}. No single winner follows from this board."]
