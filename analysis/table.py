"""A table as it goes to Markdown and to CSV, with its figures, and the writing of all."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MARKUP = str.maketrans({"\\": "\\\\", "|": "\\|", "\n": " ", "\r": " ", "\t": " "})


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

    A section whose rows aren't like the others' has `columns` of its own.
    """

    title: str
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    columns: Sequence[Column] | None = None
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Table:
    """`raw` has one mapping a row at full precision, with the ids of the runs behind it, for the CSV."""

    title: str
    columns: Sequence[Column]
    sections: Sequence[Section]
    notes: Sequence[str]
    raw: Sequence[Mapping[str, Any]]


def cell(text: str) -> str:
    """Return text that can't end its table cell, start a new line or send a control code to a terminal."""
    return "".join(character for character in text.translate(_MARKUP) if character.isprintable())


def markdown(table: Table) -> str:
    """Return the table as Markdown whose columns also line up in a terminal."""
    blocks = [f"# {cell(table.title)}"]
    for section in table.sections:
        blocks.append(f"## {cell(section.title)}")
        blocks.append(_grid(table.columns if section.columns is None else section.columns, section.rows))
        blocks += _bullets(section.notes)
        blocks += [f"![{figure.caption}]({figure.name}.svg)" for figure in section.figures]
    if table.notes:
        blocks += ["## Notes", *_bullets(table.notes)]
    return "\n\n".join(blocks) + "\n"


def to_csv(table: Table) -> str:
    """Return the raw rows as CSV; a value that is unknown is empty."""
    columns = list(dict.fromkeys(key for row in table.raw for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.raw)
    return text.getvalue()


def write(table: Table, folder: Path, name: str) -> list[Path]:
    """Write `folder`/`name`.md and .csv, and the figures beside them, each whole or not at all; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = ((".md", markdown(table)), (".csv", to_csv(table)))
    files = {f"{name}{suffix}": text.encode("utf-8", "replace") for suffix, text in texts}
    for figure in (figure for section in table.sections for figure in section.figures):
        files |= {f"{figure.name}{suffix}": content for suffix, content in figure.render().items()}
    for file_name, content in files.items():
        _write_atomically(folder / file_name, content)
    return [folder / file_name for file_name in files]


def _grid(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    lines = [[cell(column.heading) for column in columns], *([cell(text) for text in row] for row in rows)]
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(columns))]
    ruler = ["-" * (width - 1) + (":" if column.right else "-") for column, width in zip(columns, widths, strict=True)]
    aligned = [
        [
            text.rjust(width) if column.right else text.ljust(width)
            for text, column, width in zip(line, columns, widths, strict=True)
        ]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [aligned[0], ruler, *aligned[1:]])


def _bullets(notes: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {' '.join(note.split())}" for note in notes)] if notes else []


def _write_atomically(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
