"""The published boards as data: what was printed, where, of how many items, and what is unknown.

One JSON file a board in `data`, found by its name. A number is kept as the text that was printed, so that
its decimals are known; null is a number that isn't known here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from persona_sweeps.errors import DataError, UserError, did_you_mean

from .rounding import Printed, read

SCHEMA_VERSION = 1
FRACTION, PERCENT, CHANGE = "fraction", "percent", "percent change"
PERPLEXITY, NLL, MEAN_PERPLEXITY = "perplexity", "nats a token", "mean of per-story perplexities"
UNITS = (FRACTION, PERCENT, CHANGE, PERPLEXITY, NLL, MEAN_PERPLEXITY)
"""The units of a column; null where the unit isn't known."""


@dataclass(frozen=True)
class Heading:
    """A printed column: `better` is higher, lower or None; `ours` is the metric of our records to set beside it."""

    metric: str
    label: str
    unit: str | None
    better: str | None
    ours: str | None


@dataclass(frozen=True)
class PrintedRow:
    name: str
    values: Mapping[str, Printed | None]


@dataclass(frozen=True)
class Printing:
    """One table that was printed; `n` items and `decoding` are None where they aren't known."""

    key: str
    title: str
    source: str
    heading: str
    n: int | None
    decoding: str | None
    columns: Sequence[Heading]
    rows: Sequence[PrintedRow]
    ranked_by: str | None = None

    def row(self, name: str) -> PrintedRow:
        """Return a row by its name; raises `DataError` for one that isn't there."""
        found = [row for row in self.rows if row.name == name]
        if not found:
            raise DataError(f"Table {self.key!r} has no row {name!r}.{did_you_mean(name, [r.name for r in self.rows])}")
        return found[0]

    def column(self, metric: str) -> Heading:
        """Return a column by its metric; raises `DataError` for one that isn't there."""
        found = [column for column in self.columns if column.metric == metric]
        if not found:
            known = [column.metric for column in self.columns]
            raise DataError(f"Table {self.key!r} has no column {metric!r}.{did_you_mean(metric, known)}")
        return found[0]


@dataclass(frozen=True)
class Fact:
    """What else was printed, such as a rank; `but` is what contradicts it, and so flags it."""

    what: str
    printed: str
    but: str | None = None


@dataclass(frozen=True)
class Board:
    """A published board; `checks` and `noise` say what is recomputed, `reference` which tables stand beside ours.

    `facts` is what else was printed.
    """

    name: str
    about: str
    tables: Sequence[Printing]
    facts: Sequence[Fact] = ()
    checks: Sequence[Mapping[str, Any]] = ()
    noise: Mapping[str, Any] | None = None
    reference: Sequence[str] = ()
    unknown: Sequence[str] = ()
    notes: Sequence[str] = ()

    def table(self, key: str) -> Printing:
        """Return a printed table by its key; raises `DataError` for one that isn't there."""
        found = [table for table in self.tables if table.key == key]
        if not found:
            raise DataError(f"Board {self.name!r} has no table {key!r}.{_near(key, self.tables)}")
        return found[0]


def _near(key: str, tables: Sequence[Printing]) -> str:
    return did_you_mean(key, [table.key for table in tables])


def names() -> list[str]:
    """Return the names of all boards, sorted."""
    return sorted(file.name.removesuffix(".json") for file in _folder().iterdir() if file.name.endswith(".json"))


def board(name: str) -> Board:
    """Return a board by its name; raises `UserError`, with the nearest name, for one that isn't known."""
    known = names()
    if name not in known:
        raise UserError(f"No published board is called {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
    return from_document(document(name))


def document(name: str) -> dict[str, Any]:
    """Return a board's file as it is."""
    content: dict[str, Any] = json.loads((_folder() / f"{name}.json").read_text(encoding="utf-8"))
    return content


def from_document(content: Mapping[str, Any]) -> Board:
    """Return the board of a file's content; raises `DataError` for one that can't be right, naming what it is."""
    name = content.get("name", "?")
    try:
        if content["schema_version"] != SCHEMA_VERSION:
            raise DataError(f"schema_version is {content['schema_version']!r}, and {SCHEMA_VERSION} can be read here")
        tables = [_printing(raw) for raw in content["tables"]]
        return Board(
            name=content["name"],
            about=content["about"],
            tables=tables,
            facts=[Fact(**fact) for fact in content.get("facts", ())],
            **{key: content[key] for key in ("checks", "noise", "reference", "unknown", "notes") if key in content},
        )
    except KeyError as error:
        raise DataError(f"Published board {name!r} lacks {error}.") from error
    except DataError as error:
        raise DataError(f"Published board {name!r}: {error}") from error


def _folder() -> Any:
    return files(__package__) / "data"


def _printing(raw: Mapping[str, Any]) -> Printing:
    columns = [Heading(**column) for column in raw["columns"]]
    for column in columns:
        if column.unit is not None and column.unit not in UNITS:
            raise DataError(f"unit {column.unit!r} is unknown.{did_you_mean(column.unit, UNITS)}")
    metrics = {column.metric for column in columns}
    rows = []
    for row in raw["rows"]:
        if set(row["values"]) != metrics:
            raise DataError(f"row {row['name']!r} of {raw['key']!r} has other columns than the table")
        values = {metric: None if text is None else read(text) for metric, text in row["values"].items()}
        rows.append(PrintedRow(row["name"], values))
    kept = {key: raw[key] for key in ("key", "title", "source", "heading", "n", "decoding")}
    return Printing(columns=columns, rows=rows, ranked_by=raw.get("ranked_by"), **kept)
