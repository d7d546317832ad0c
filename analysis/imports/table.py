"""Results as a CSV file: a row a run, a column a number; `metric>` and `metric<` say which way is better."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from persona_sweeps.errors import DataError, did_you_mean

from .record import ForeignEvaluation, ForeignMetric, ForeignRun

SUMMARY = (
    "a CSV file with the columns model and method, if you like setting, dataset, seed and learning_rate, and one for "
    "each metric, whose name ends with > where higher is better and with < where lower is (`accuracy>`, `loss<`)"
)
KNOWN = ("model", "method", "setting", "dataset", "seed", "learning_rate", "items")
_NEEDED = ("model", "method")


def read(path: Path) -> Sequence[ForeignRun]:
    """Return a run a row. Raises DataError, with file and line, for what can't be read."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: can't be read as CSV: {error}.") from error
    if not rows:
        raise DataError(f"{path}: has no rows.")
    columns = [column for column in rows[0] if column]
    for needed in _NEEDED:
        if needed not in columns:
            raise DataError(f"{path}: has no column {needed!r}.{did_you_mean(needed, columns)} {SUMMARY}.")
    metrics = [column for column in columns if column not in KNOWN]
    if not metrics:
        raise DataError(f"{path}: has no column of a metric: {SUMMARY}.")
    return [_run(path, line, row, metrics) for line, row in enumerate(rows, start=2)]


def _run(path: Path, line: int, row: Mapping[str, str], metrics: Sequence[str]) -> ForeignRun:
    if None in row or None in row.values():
        raise DataError(f"{path} line {line}: doesn't have as many fields as there are columns.")
    dataset, method, setting = row.get("dataset") or path.stem, row["method"], row.get("setting") or ""
    values = {_name(m): _metric(path, line, m, row[m]) for m in metrics if row[m].strip()}
    items = _number(path, line, "items", row["items"]) if row.get("items") else None
    seed = _number(path, line, "seed", row["seed"]) if row.get("seed") else None
    rate = _number(path, line, "learning_rate", row["learning_rate"]) if row.get("learning_rate") else None
    return ForeignRun(
        source=path,
        model=row["model"],
        method=method,
        label=f"{method} {setting}".strip(),
        dataset=dataset,
        evaluations=[
            ForeignEvaluation({"dataset": dataset, "items": items}, values, None if items is None else int(items))
        ],
        config={"train": {"learning_rate": rate}},
        seed=None if seed is None else int(seed),
        created=f"line {line}" if seed is None else "",
    )


def _name(column: str) -> str:
    return column.rstrip("<>").strip().replace(" ", "_")


def _metric(path: Path, line: int, column: str, text: str) -> ForeignMetric:
    direction = {">": True, "<": False}.get(column.rstrip()[-1:])
    return ForeignMetric(_number(path, line, column, text), direction, column.rstrip("<>").strip())


def _number(path: Path, line: int, column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{path} line {line}: {column} is {text!r}, not a number.") from error
