"""Tables as Markdown (GitHub's tables) whose columns also line up in a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..tables.table import Column, Table

_SPACES = str.maketrans("\n\r\t", "   ")
# A tag or a link in a model's output must show, not act; an underscore within a word begins no emphasis.
_ANYWHERE = r"[\\*<]|~(?=~)|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])|&(?=[#\w])"
_IN_CELLS, _IN_NOTES = re.compile(rf"[|`]|{_ANYWHERE}"), re.compile(_ANYWHERE)
_CODE = re.compile(r"((?<!`)`[^`]+`(?!`))")


def render(tables: Sequence[Table]) -> str:
    """Return the tables one below the other."""
    return "\n".join(map(_table, tables))


def cell(text: str) -> str:
    """Return text that can't end its cell, start a new line or send a control code to a terminal."""
    shown = "".join(character for character in text.translate(_SPACES) if character.isprintable())
    return _IN_CELLS.sub(r"\\\g<0>", shown)


def _table(table: Table) -> str:
    blocks = [f"# {cell(table.title)}"]
    for section in table.sections:
        blocks.append(f"## {cell(section.title)}")
        blocks.append(_grid(table.columns_of(section), section.rows))
        blocks += _bullets(section.notes)
        blocks += [f"![{figure.caption}]({figure.name}.svg)" for figure in section.figures]
    if table.notes:
        blocks += ["## Notes", *_bullets(table.notes)]
    return "\n\n".join(blocks) + "\n"


def _grid(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    lines = [[cell(column.heading) for column in columns], *([cell(text) for text in row] for row in rows)]
    widths = [max(3, *(len(line[index]) for line in lines)) for index in range(len(columns))]
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
    return ["\n".join(f"- {_note(' '.join(note.split()))}" for note in notes)] if notes else []


def _note(text: str) -> str:
    """Return a sentence whose `code` stays code; all else that would be markup shows."""
    parts = _CODE.split(text)
    plain = (_IN_NOTES.sub(r"\\\g<0>", part).replace("`", "\\`") for part in parts[::2])
    code = [*parts[1::2], ""]
    return "".join(part for pair in zip(plain, code, strict=True) for part in pair)
