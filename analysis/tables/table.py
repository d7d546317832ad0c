"""A table of results: its sections, rows and figures, whatever form they are printed in (`analysis.formats`)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Column:
    """A heading; numbers stand to the right."""

    heading: str
    right: bool = True


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
    """Rows that may be compared with one another; `notes` are sentences told below them.

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


def cell(text: str) -> str:
    """Return text that can't end its Markdown cell, start a new line or send a control code to a terminal."""
    from ..formats import md

    return md.cell(text)


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
        write_atomically(folder / file_name, content)
    return [folder / file_name for file_name in files]


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file whole, or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
