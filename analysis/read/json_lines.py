"""Reads JSON lines that a run left behind; a line that can't be read is counted and told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Lines:
    """The objects of a file in order, what went wrong (None if nothing did), and whether more of them were left."""

    rows: list[Mapping[str, Any]]
    trouble: str | None = None
    more: int = 0


def read_lines(path: Path, most: int | None = None) -> Lines:
    """Return the JSON objects of a file, the first `most` alone if so asked; none where there is no such file."""
    rows: list[Mapping[str, Any]] = []
    bad: list[str] = []
    more = 0
    try:
        with path.open("rb") as file:
            numbered = ((number, line) for number, line in enumerate(file, start=1) if line.strip())
            for number, line in islice(numbered, most):
                row = _object(line)
                if isinstance(row, str):
                    bad.append(f"line {number} {row}")
                else:
                    rows.append(row)
            more = sum(1 for _ in numbered)
    except FileNotFoundError:
        return Lines([])
    except OSError as error:
        return Lines(rows, f"{path.name} is unreadable: {error.strerror}")
    several = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return Lines(rows, f"{path.name}: {bad[0]}{several}, left out" if bad else None, more)


def _object(line: bytes) -> Mapping[str, Any] | str:
    """Return a line's object, or what is wrong with it."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is not JSON ({type(error).__name__})"
    return value if isinstance(value, Mapping) else "is not an object"


def number(value: Any) -> float | None:
    """Return a finite number to six digits; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300 or value != value:
        return None
    return float(f"{value:.6g}")
