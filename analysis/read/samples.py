"""Read the evaluated items of a result from its evaluation's samples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .results import RunResult


class SamplesError(ValueError):
    """The items can't be used; the message says why, naming the file."""


@dataclass(frozen=True)
class Items:
    """The lines of a file of samples, one an evaluated item, each with an `id` of its own and a `cluster`."""

    path: Path
    lines: Sequence[Mapping[str, Any]]

    @cached_property
    def ids(self) -> frozenset[str]:
        return frozenset(self.places[0])

    @cached_property
    def places(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The ids and the clusters of the lines, in order."""
        return tuple([str(line["id"]) for line in self.lines]), tuple([str(line["cluster"]) for line in self.lines])


def read_items(result: RunResult, metric: str | None = None) -> Items | None:
    """Return the evaluated items of a result, those that `metric` was computed from; None when it has no samples.

    Raises `SamplesError` as `read_samples` does.
    """
    path = result.samples(metric)
    return None if path is None else read_samples(path)


def read_samples(path: Path) -> Items | None:
    """Return the items in a file; None when there is no such file.

    Raises `SamplesError` when the file is unreadable or empty, a line is no object with an id and a cluster, or two
    lines have one id.
    """
    try:
        items = _items(path, path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SamplesError(f"{path} is unreadable: {error}") from error
    if not items:
        raise SamplesError(f"{path} is empty")
    found = Items(path, items)
    if len(found.ids) < len(items):
        raise SamplesError(f"{path} has {len(items)} lines, and {len(found.ids)} ids among them")
    return found


def _items(path: Path, text: str) -> list[Mapping[str, Any]]:
    """Return the items of a file: all lines at once, and one by one where that fails, to say which is wrong."""
    lines = [line for line in text.split("\n") if line.strip()]
    try:
        items = json.loads(f"[{','.join(lines)}]")
    except (ValueError, RecursionError):
        items = []
    if len(items) == len(lines) and all(type(item) is dict and "id" in item and "cluster" in item for item in items):
        return list(items)
    return [_item(path, number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _item(path: Path, number: int, text: str) -> Mapping[str, Any]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SamplesError(f"{path} line {number}: not JSON: {error}") from error
    if not isinstance(line, dict) or "id" not in line or "cluster" not in line:
        raise SamplesError(f"{path} line {number}: not an object with an id and a cluster")
    return line
