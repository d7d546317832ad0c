"""Tables as the page shows them: cells with what they sort by, rows with the runs behind them."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from ..program import PROGRAM
from ..tables.numbers import ABSENT
from ..tables.table import Column, Figure, Section, Table
from .text import linked

_NUMBER = re.compile(r"([-+−]?)((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE]([-+]?\d+))?(?:\s?([kM])\b)?")
_EXPONENT = re.compile(r"\b\d(?:\.\d+)?e-\d+\b")
_UNITS = {"k": 1e3, "M": 1e6}
RUNS = "runs"
MOST_ROWS = 500
"""of a section that the page shows"""


@dataclass(frozen=True)
class HtmlCell:
    """`key` is what a number sorts by; None for what isn't one."""

    html: Markup
    key: float | None
    right: bool
    heads: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure as an image whose source holds all of it."""

    source: str
    caption: str


@dataclass(frozen=True)
class Part:
    """A section: headings with whether they stand to the right, rows of cells, notes, figures."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[HtmlCell]]
    notes: Sequence[str]
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class ShownTable:
    """A table under the name that the command has for it; `left_out` sentences stand elsewhere on the page."""

    name: str
    title: str
    parts: Sequence[Part]
    notes: Sequence[str]
    left_out: int


def tabulated(name: str, table: Table, of: str, anchors: Mapping[str, str], elsewhere: set[str]) -> ShownTable:
    """Return a table for the page, whose heading says `of` what it is already.

    Notes that stand `elsewhere` on the page are counted only.
    """
    behind = _ids_of_rows(table)
    parts, start = [], 0
    for section in table.sections:
        columns = table.columns if section.columns is None else section.columns
        ids = section.runs or (behind[start : start + len(section.rows)] if behind else None)
        parts.append(_part(_shortened(name, section), columns, ids, anchors))
        start += len(section.rows)
    notes = [note for note in table.notes if note not in elsewhere]
    return ShownTable(name, table.title.removesuffix(f": {of}"), parts, notes, len(table.notes) - len(notes))


def _shortened(name: str, section: Section) -> Section:
    """Return a section with its first rows, saying where the others are."""
    count = len(section.rows)
    if count <= MOST_ROWS:
        return section
    said = f"The first {MOST_ROWS} of {count:,} rows: `{PROGRAM} {name}` prints all, and its CSV has them."
    return replace(section, rows=section.rows[:MOST_ROWS], notes=[said, *section.notes])


def sort_key(text: str) -> float | None:
    """Return the first number of a cell, None without one: `4.21 ± 0.1 [4, 5]` is 4.21, and `1.2 M` is 1,200,000."""
    match = _NUMBER.search(text)
    if match is None:
        return None
    sign, digits, exponent, unit = match.groups()
    value = float(f"{digits.replace(',', '')}e{exponent or 0}") * _UNITS.get(unit, 1)
    return -value if sign in ("-", "−") and sign else value


def runs_behind(ids: Sequence[str], anchors: Mapping[str, str]) -> Markup:
    """Return links to the runs of a row, folded where there are several."""
    links = Markup(" ").join(linked(run_id, anchors) for run_id in ids)
    if len(ids) < 2:
        return links
    return Markup("<details><summary>{} runs</summary>{}</details>").format(len(ids), links)


def _ids_of_rows(table: Table) -> list[list[str]] | None:
    """Return the run ids of each row, where the raw rows are those of the sections in order; else None."""
    if len(table.raw) != sum(len(section.rows) for section in table.sections):
        return None
    ids = [str(row.get("run_ids") or row.get("run_id") or "").split() for row in table.raw]
    return ids if any(ids) else None


def _part(
    section: Section, columns: Sequence[Column], behind: Sequence[Sequence[str]] | None, anchors: Mapping[str, str]
) -> Part:
    heads = next((index for index, column in enumerate(columns) if not column.right), 0)
    rows = []
    for index, texts in enumerate(section.rows):
        row = [
            HtmlCell(_whole(linked(text, anchors)), _key(text, column), column.right, heads == at)
            for at, (text, column) in enumerate(zip(texts, columns, strict=True))
        ]
        if behind:
            row.append(HtmlCell(runs_behind(behind[index], anchors), None, False))
        rows.append(row)
    shown = [*columns, Column(RUNS, right=False)] if behind else list(columns)
    return Part(section.title, shown, rows, list(section.notes), [_picture(figure) for figure in section.figures])


def _whole(html: Markup) -> Markup:
    """Keep numbers like 3.2e-04 from being broken at their hyphen, in text without markup."""
    return html if "<" in html else Markup(_EXPONENT.sub(r'<span class="whole">\g<0></span>', str(html)))


def _key(text: str, column: Column) -> float | None:
    return sort_key(text) if column.right and text != ABSENT else None


def _picture(figure: Figure) -> Picture:
    content = base64.b64encode(figure.render()[".svg"]).decode("ascii")
    return Picture(f"data:image/svg+xml;base64,{content}", figure.caption)
