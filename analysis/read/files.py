"""Read files that may be broken: a JSON object, or lines of them. What can't be used has a reason, never an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 2
"""of run.json, an evaluation and sweep.json"""


class SetAside(Exception):
    """A file can't be used; the message says why."""


@dataclass(frozen=True)
class Problem:
    """A file that was set aside, and why."""

    path: Path
    reason: str


def read_record(path: Path) -> Mapping[str, Any]:
    """Return a JSON object of the known schema version. Raises SetAside."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SetAside("the file is missing") from error
    except OSError as error:
        raise SetAside(f"unreadable: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SetAside(f"not JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise SetAside("not a JSON object")
    version = value.get("schema_version")
    if version != SCHEMA_VERSION:
        raise SetAside(f"schema_version is {version!r}, and {SCHEMA_VERSION} is what can be read here")
    return value


@dataclass(frozen=True)
class Lines:
    """The objects of a file in order, what went wrong (None if nothing did), and how many lines were left unread."""

    rows: list[Mapping[str, Any]]
    trouble: str | None = None
    more: int = 0


def read_lines(path: Path, most: int | None = None) -> Lines:
    """Return the JSON objects of a file, at most the first `most`; none where there is no such file."""
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


def short_number(value: Any) -> float | None:
    """Return a finite number to six digits; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300 or value != value:
        return None
    return float(f"{value:.6g}")
