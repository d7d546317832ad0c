"""Whether characters stay apart: each one's gain on each one's held-out lines, by settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..read.matrices import Matrix, matrices
from ..read.measures import measures
from ..read.selection import Selection
from . import notes, references
from .numbers import ABSENT
from .table import Column, Figure, Section, Table, cells

if TYPE_CHECKING:
    from ..statistics.mixing import Known

SUMMARY = "whether characters stay apart: each one's gain on each one's held-out lines, identification, bleed"
HEAD = (Column("method", right=False), Column("identified"))
"""of a table without rows"""
_NOTHING = (
    "No evaluation has lines that were scored as several characters: give the command of the sweep again with "
    "metrics=[blending] and metrics.blending.characters=[A,B,C]; it trains nothing anew."
)
_NOTES = (
    "A square is the gain over the untuned base on held-out lines (columns: lines of) as a character (rows: as), in "
    "nats a token, a mean over lines and seeds; higher is better on the diagonal. Off the diagonal it is what training "
    "one character does for another.",
    "identified is the share of lines that are most probable as their own speaker (by chance one of the number of "
    "characters); higher is better. bleed is the mean gain off the diagonal over that on it (0: the character alone "
    "gains, 1: all alike); lower is better. swap margin is what a line costs as another character, in nats a token; "
    "higher is better.",
)
_BY = {True: "by run, an adapter for each character", False: "by card, one adapter for all characters"}


@dataclass(frozen=True)
class _Row:
    """A matrix with what is computed of it."""

    matrix: Matrix

    @cached_property
    def values(self) -> Mapping[str, Known]:
        from ..statistics.mixing import bleed, identified, swap_margin  # listing the tables needs no numpy

        return {
            "identified": identified(self.matrix),
            "bleed": bleed(self.matrix),
            "swap_margin": swap_margin(self.matrix),
        }

    @cached_property
    def squares(self) -> Mapping[tuple[str, str], Known]:
        from ..statistics.mixing import cell

        names = self.matrix.characters
        return {(one, other): cell(self.matrix, one, other) for one in names for other in names}

    @property
    def lines(self) -> int:
        return len(next(iter(self.matrix.by_seed.values())))

    @property
    def scenes(self) -> int:
        return len({line.cluster for line in next(iter(self.matrix.by_seed.values()))})


def applies(selection: Selection) -> bool:
    """Whether any evaluation has a matrix of characters."""
    return any(measure.matrix is not None for measure in measures(selection.scored()))


def build(selection: Selection) -> Table:
    """Return a section of all settings, then the matrix of each."""
    found, troubles = matrices(selection.scored())
    usable = [_Row(matrix) for matrix in found if len(matrix.characters) > 1 and all(matrix.by_seed.values())]
    alone = [matrix for matrix in found if len(matrix.characters) < 2]
    said = [*troubles, *_left_out(found, alone)]
    if not usable:
        return Table(f"Blending: {selection.title}", HEAD, [], [*notes.left_out(selection), *said, _NOTHING], [])
    return Table(
        f"Blending: {selection.title}",
        HEAD,
        [*_overviews(usable), *(_section(row) for row in usable)],
        [*notes.left_out(selection), *said, *_NOTES, notes.INTERVALS, notes.CSV],
        [raw for row in usable for raw in _raw(row)],
    )


def _left_out(found: Sequence[Matrix], alone: Sequence[Matrix]) -> list[str]:
    sentences = [
        f"Left out: {matrix.setting.label} ({matrix.model}) was run as {', '.join(matrix.characters)} alone; it takes "
        "another character, all else the same."
        for matrix in alone
    ]
    return sentences + [
        f"Left out: the characters of {matrix.setting.label} ({matrix.model}) have no line in common; give all runs "
        "the same metrics.blending.characters."
        for matrix in found
        if len(matrix.characters) > 1 and not all(matrix.by_seed.values())
    ]


def _overviews(rows: Sequence[_Row]) -> list[Section]:
    """Return a section for each model, set of characters, and way that these are made."""
    groups: dict[tuple[Any, ...], list[_Row]] = {}
    for row in rows:
        key = row.matrix.model, tuple(sorted(row.matrix.characters)), row.matrix.by_run
        groups.setdefault(key, []).append(row)
    return [_overview(of) for of in groups.values()]


def _overview(rows: Sequence[_Row]) -> Section:
    columns = [
        Column("method", right=False, value=lambda row: references.marked(row.matrix.setting)),
        Column("identified", value=lambda row: _text(row.values["identified"])),
        Column("bleed↓", value=lambda row: _text(row.values["bleed"])),
        Column("swap margin", value=lambda row: _text(row.values["swap_margin"], 3)),
        Column("seeds", value=lambda row: len(row.matrix.by_seed)),
    ]
    ordered = sorted(rows, key=lambda row: -(row.values["identified"].value or 0.0))
    first = rows[0].matrix
    chance = f"{1 / len(first.characters):.2f}"
    said = [f"{rows[0].lines} lines of {rows[0].scenes} scenes or dialogues; identified is {chance} by chance."]
    title = f"{first.model} · {', '.join(first.characters)} · {_BY[first.by_run]}"
    return Section(title, cells(columns, ordered), said, columns, runs=[row.matrix.run_ids for row in ordered])


def _section(row: _Row) -> Section:
    matrix = row.matrix
    columns = [
        Column("as", right=False, value=lambda name: name),
        *(
            Column(f"lines of {speaker}", value=lambda name, of=speaker: _text(row.squares[name, of]))  # type: ignore[misc]
            for speaker in matrix.characters
        ),
    ]
    said = [f"Nothing was run as {name}, whose lines were scored." for name in matrix.missing]
    said += [f"{matrix.left_out} lines are left out, which not all characters scored."] if matrix.left_out else []
    title = f"{matrix.setting.label} · {matrix.model} · {'by run' if matrix.by_run else 'by card'}"
    rows = cells(columns, matrix.characters)
    runs = [list(matrix.run_ids)] * len(rows)
    return Section(title, rows, said, columns, _figures(row, title), runs)


def _figures(row: _Row, title: str) -> list[Figure]:
    from .. import figures

    if not figures.can_draw():
        return []

    def render() -> dict[str, bytes]:
        from ..figures import heatmap

        names = row.matrix.characters
        values = [[row.squares[one, other].value for other in names] for one in names]
        return figures.files(lambda: heatmap.draw(title, names, names, values, "gain, nats a token"))

    by = "run" if row.matrix.by_run else "card"
    name = f"blending-{by}-{row.matrix.setting.first.setting_key[:10]}"
    return [Figure(name, f"gain of {row.matrix.setting.label} on each character's lines", render)]


def _text(known: Known, decimals: int = 2) -> str:
    """Return `value [low, high]`, as far as each is known."""
    if known.value is None:
        return ABSENT
    text = f"{known.value:.{decimals}f}"
    found = known.interval
    return text if found is None else f"{text} [{found.low:.{decimals}f}, {found.high:.{decimals}f}]"


def _raw(row: _Row) -> list[dict[str, Any]]:
    """Return a raw row for each square; what is of the whole matrix stands in all of them."""
    matrix = row.matrix
    whole = {name: value for key, known in row.values.items() for name, value in _ends(key, known).items()}
    return [
        {
            "model": matrix.model,
            "setting": matrix.setting.label,
            "method": matrix.setting.method,
            "by": "run" if matrix.by_run else "card",
            "as": one,
            "lines_of": other,
            **_ends("gain", known),
            **whole,
            "lines": row.lines,
            "scenes": row.scenes,
            "seeds": len(matrix.by_seed),
            "run_ids": " ".join(matrix.run_ids),
        }
        for (one, other), known in row.squares.items()
    ]


def _ends(name: str, known: Known) -> dict[str, Any]:
    ends = known.interval
    return {name: known.value, f"{name}_low": ends and ends.low, f"{name}_high": ends and ends.high}
