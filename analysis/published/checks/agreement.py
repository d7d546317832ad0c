"""Numbers that were printed in two places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...tables.table import Column, Section
from ..boards import Board, Printing
from ..rounding import Verdict
from .outcome import CheckOutcome, raw

AGREES = Verdict("agrees", False)


def check(board: Board, spec: Mapping[str, Any]) -> CheckOutcome:
    """Compare all numbers that two tables both have; of those with other decimals, what each rounds must overlap."""
    first, second = (board.table(key) for key in spec["tables"])
    rows, raws, flags = [], [], []
    for row in first.rows:
        for column in first.columns:
            here, there = row.values[column.metric], _value(second, row.name, column.metric)
            if here is None or there is None:
                continue
            overlap = here.range.low < there.range.high and there.range.low < here.range.high
            verdict = AGREES if overlap else Verdict("flag: disagrees", True)
            rows.append([row.name, column.label, here.text, there.text, verdict.words])
            raws.append(
                raw("agreement", first, row.name, column.metric, second.key, here, there.value, there.range, verdict)
            )
            if not overlap:
                sentence = f"{row.name}, {column.label}: {here.text} here, {there.text} in {second.source}."
                flags.append((first.key, sentence))
    columns = (
        Column("model", right=False),
        Column("metric", right=False),
        Column(first.source),
        Column(second.source),
        Column("verdict", right=False),
    )
    return CheckOutcome(Section(f"Compared: {spec['title']}", rows, _alone(first, second), columns), raws, flags)


def _value(table: Printing, name: str, metric: str) -> Any:
    found = [row for row in table.rows if row.name == name]
    return found[0].values.get(metric) if found else None


def _alone(first: Printing, second: Printing) -> list[str]:
    """Name the rows that one table has and the other lacks, which nothing here can check."""
    notes = []
    for table, other in ((first, second), (second, first)):
        names = {row.name for row in other.rows}
        alone = [row.name for row in table.rows if row.name not in names]
        if alone:
            notes.append(f"Only in {table.source}, so with nothing to compare: {', '.join(alone)}.")
    return notes
