"""A table of results: its sections, rows and figures, whatever form they are printed in (`analysis.formats`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from persona_sweeps.records.files import write_bytes

from .numbers import ABSENT


@dataclass(frozen=True)
class Column:
    """A column, declared once: its heading, how it comes from a row, how that is printed, and its name in raw rows.

    `value(row)` is what is shown, by `form`; None is a dash. Without a heading it is in the raw rows alone, without a
    `raw` name it is printed alone. A value with a method `raw(name)` gives several raw columns, such as a mean and its
    deviation. A column of a section whose rows are texts already needs its heading only; numbers stand to the `right`.
    """

    heading: str = ""
    right: bool = True
    value: Callable[[Any], Any] | None = field(default=None, compare=False)
    form: Callable[[Any], str] = field(default=str, compare=False)
    raw: str | None = None

    def cell(self, row: Any) -> str:
        """Return the text of a row's cell."""
        value = self.value(row) if self.value is not None else None
        return ABSENT if value is None else self.form(value)

    def raw_cells(self, row: Any) -> Mapping[str, Any]:
        """Return a row's raw columns, by name."""
        if self.raw is None or self.value is None:
            return {}
        value = self.value(row)
        return value.raw(self.raw) if hasattr(value, "raw") else {self.raw: value}


@dataclass(frozen=True)
class Figure:
    """A picture of a section; `render` returns the bytes of each of its files by suffix (`.svg`).

    `name` is that of the files, unique among all tables; `caption` says what is seen in a few words without markup.
    """

    name: str
    caption: str
    render: Callable[[], Mapping[str, bytes]]


@dataclass(frozen=True)
class Section:
    """Rows that may be compared with one another; `notes` are sentences below them.

    A section whose rows aren't like the others' has `columns` of its own. `runs` are the ids of the runs behind each
    row, of a table whose raw rows aren't those of its sections in order.
    """

    title: str
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    columns: Sequence[Column] | None = None
    figures: Sequence[Figure] = ()
    runs: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Table:
    """`raw` has one mapping a row at full precision, with the ids of the runs behind it, for CSV and JSON."""

    title: str
    columns: Sequence[Column]
    sections: Sequence[Section]
    notes: Sequence[str]
    raw: Sequence[Mapping[str, Any]]

    def columns_of(self, section: Section) -> Sequence[Column]:
        """Return a section's own columns, or the table's."""
        return self.columns if section.columns is None else section.columns


def shown(columns: Iterable[Column]) -> list[Column]:
    """Return the columns that are printed."""
    return [column for column in columns if column.heading]


def cells(columns: Iterable[Column], rows: Iterable[Any]) -> list[list[str]]:
    """Return the printed cells of rows."""
    printed = shown(columns)
    return [[column.cell(row) for column in printed] for row in rows]


def raw_rows(columns: Sequence[Column], rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the raw columns of rows at full precision."""
    return [{name: value for column in columns for name, value in column.raw_cells(row).items()} for row in rows]


def markdown(table: Table) -> str:
    """Return the table as Markdown whose columns also line up in a terminal."""
    from ..formats import md

    return md.render([table])


def to_csv(table: Table) -> str:
    """Return the raw rows as CSV; a value that is unknown is empty."""
    from ..formats import csv

    return csv.render([table])


def write(table: Table, folder: Path, name: str, formats: Sequence[str] = ("md", "csv")) -> list[Path]:
    """Write the table to `folder`/`name` in each of these formats, and its figures beside it; return all paths.

    Each file is whole or not there at all.
    """
    from ..formats import FORMATS, load

    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, bytes] = {}
    for form in dict.fromkeys(formats):
        files[f"{name}{FORMATS[form].suffix}"] = load(form).render([table]).encode("utf-8", "replace")
    for figure in (figure for section in table.sections for figure in section.figures):
        files |= {f"{figure.name}{suffix}": content for suffix, content in figure.render().items()}
    for file_name, content in files.items():
        write_bytes(folder / file_name, content)
    return [folder / file_name for file_name in files]
