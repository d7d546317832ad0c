"""Tables as Markdown (GitHub's tables) whose columns also line up in a terminal.

On a page of limited width, columns that don't fit follow in further grids, whose rows begin alike.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from ..tables.table import Column, Table
from .page import Page

_SPACES = str.maketrans("\n\r\t", "   ")
# A tag or a link in a model's output must show, not act; an underscore within a word begins no emphasis.
_ANYWHERE = r"[\\*<]|~(?=~)|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])|&(?=[#\w])"
_IN_CELLS, _IN_NOTES = re.compile(rf"[|`]|{_ANYWHERE}"), re.compile(_ANYWHERE)
_CODE = re.compile(r"((?<!`)`[^`]+`(?!`))")


def render(tables: Sequence[Table], on: Page | None = None) -> str:
    """Return the tables one below the other; whole, or broken to fit on a page."""
    return "\n".join(_table(table, on) for table in tables)


def cell(text: str) -> str:
    """Return text that can't end its cell, start a new line or send a control code to a terminal."""
    shown = "".join(character for character in text.translate(_SPACES) if character.isprintable())
    return _IN_CELLS.sub(r"\\\g<0>", shown)


def _table(table: Table, on: Page | None) -> str:
    blocks = [f"# {cell(table.title)}"]
    for section in table.sections:
        blocks.append(f"## {cell(section.title)}")
        blocks += _grids(table.columns_of(section), section.rows, on)
        blocks += _bullets(section.notes, on)
        blocks += [f"![{figure.caption}]({figure.name}.svg)" for figure in section.figures]
    if table.notes:
        blocks += ["## Notes", *_bullets(table.notes, on)]
    return "\n\n".join(blocks) + "\n"


def _grids(columns: Sequence[Column], rows: Sequence[Sequence[str]], on: Page | None) -> Iterator[str]:
    """Yield a grid, or several whose columns fit on the page, each with the column that names the rows."""
    lines = [[cell(column.heading) for column in columns], *([cell(text) for text in row] for row in rows)]
    widths = [max(3, *(len(line[index]) for line in lines)) for index in range(len(columns))]
    for chosen in _evenly(columns, widths, on):
        rules = ["-" * (widths[i] - 1) + (":" if columns[i].right else "-") for i in chosen]
        aligned = [
            [line[i].rjust(widths[i]) if columns[i].right else line[i].ljust(widths[i]) for i in chosen]
            for line in lines
        ]
        yield "\n".join(f"| {' | '.join(line)} |" for line in [aligned[0], rules, *aligned[1:]])


def _evenly(columns: Sequence[Column], widths: Sequence[int], on: Page | None) -> list[list[int]]:
    """Return the indices of the columns of each grid: the first holds all it can, the others have like widths."""
    everything = list(range(len(columns)))
    if on is None or _width(widths) <= on.width or len(columns) < 3:
        return [everything]
    name = next((index for index, column in enumerate(columns) if not column.right), 0)
    first = _parts(everything[: name + 1], everything[name + 1 :], widths, on.width)[0]
    rest = everything[len(first) :]
    found = _parts([name], rest, widths, on.width) if rest else []
    for width in range(on.width - 1, 0, -1):
        narrower = _parts([name], rest, widths, width) if rest else []
        if len(narrower) > len(found):
            break
        found = narrower
    return [first, *found]


def _parts(begin: Sequence[int], others: Sequence[int], widths: Sequence[int], width: int) -> list[list[int]]:
    """Return grids of a width, each with at least one of the `others`, after `begin` or its last column, the name."""
    parts = [list(begin)]
    for index in others:
        if parts[-1][-1] != begin[-1] and _width([widths[i] for i in [*parts[-1], index]]) > width:
            parts.append([begin[-1]])
        parts[-1].append(index)
    return parts


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + 3 * len(widths) + 1


def _bullets(notes: Sequence[str], on: Page | None) -> list[str]:
    sentences = [f"- {_note(' '.join(note.split()))}" for note in notes]
    if on is not None and on.wraps_notes:
        wrapper = textwrap.TextWrapper(on.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        sentences = [wrapper.fill(sentence) for sentence in sentences]
    return ["\n".join(sentences)] if sentences else []


def _note(text: str) -> str:
    """Return a sentence whose `code` stays code; all else that would be markup shows."""
    parts = _CODE.split(text)
    plain = (_IN_NOTES.sub(r"\\\g<0>", part).replace("`", "\\`") for part in parts[::2])
    code = [*parts[1::2], ""]
    return "".join(part for pair in zip(plain, code, strict=True) for part in pair)
