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

NUMBER = "#"
"""heading of the column that numbers rows which are divided"""


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
    """Yield a grid, or several whose columns fit on the page, each with the column that names the rows.

    Where rows of one name would be there twice, such as a model with two methods, numbers name the rows instead.
    """
    lines = [[cell(column.heading) for column in columns], *([cell(text) for text in row] for row in rows)]
    right = [column.right for column in columns]
    name = next((index for index, aligned in enumerate(right) if not aligned), 0)
    first = everything = list(range(len(columns)))
    if on is not None and _width(_widths(lines)) > on.width and len(columns) > 2:
        first = everything[: name + 1]
        if len({line[name] for line in lines[1:]}) < len(rows):
            lines = [[NUMBER, *lines[0]], *([str(number), *line] for number, line in enumerate(lines[1:], start=1))]
            right, first, name = [True, *right], list(range(name + 2)), 0
    widths = _widths(lines)
    parts = [first] if len(first) == len(widths) else _evenly(first, name, widths, on.width if on else 0)
    for chosen in parts:
        rules = ["-" * (widths[i] - 1) + (":" if right[i] else "-") for i in chosen]
        aligned = [
            [line[i].rjust(widths[i]) if right[i] else line[i].ljust(widths[i]) for i in chosen] for line in lines
        ]
        yield "\n".join(f"| {' | '.join(line)} |" for line in [aligned[0], rules, *aligned[1:]])


def _evenly(begin: Sequence[int], name: int, widths: Sequence[int], width: int) -> list[list[int]]:
    """Return the indices of the columns of each grid: the first holds all it can, the others have like widths."""
    first = _parts(begin, range(begin[-1] + 1, len(widths)), widths, width)[0]
    rest = range(first[-1] + 1, len(widths))
    found = _parts([name], rest, widths, width) if rest else []
    for narrower_width in range(width - 1, 0, -1):
        narrower = _parts([name], rest, widths, narrower_width) if rest else []
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


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(3, *map(len, column)) for column in zip(*lines, strict=True)]


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
