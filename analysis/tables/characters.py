"""How well settings are the character: a column for each measure of it, each with intervals and ranks as ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..read.comparable import Comparable, comparable
from ..read.measures import Measure
from ..read.selection import Selection
from ..read.settings import Setting
from ..statistics.ranking import Placed, placed
from . import notes, references, remarks
from .numbers import ABSENT, Reading, count, form_of, reading, seconds
from .shared_columns import cost_columns, identity_columns, setting_columns
from .table import Column, Section, Table, cells, raw_rows, shown

SUMMARY = "whether it is the character: likelihood, ranking, voice, mixing, forgetting, copying; a rank for each"
HEAD = (Column("method", right=False), Column("seeds"))
"""of a table without rows"""
_NOTHING = (
    "No evaluation has measures of the character. They need no new training: give the command of the sweep again with "
    "metrics=[likelihood,overlap,ranking,blending,forgetting], and peft=true_reply for the ceiling of texts."
)
_CELLS = (
    "A cell has the mean over seeds, a 95 % interval where the items are of enough scenes, and after # the ranks that "
    "can't be excluded in that column; ↓ marks columns where lower is better. Columns are ranked each by itself, so a "
    "row that is first in many is first in some by chance."
)


@dataclass(frozen=True)
class CharacterRow:
    """A setting, with its rank and interval in each column."""

    setting: Setting
    by_measure: Mapping[str, Placed]

    def reading(self, measure: Measure) -> Reading:
        """Return a measure over the setting's seeds, with its interval."""
        return reading(self.setting, measure.name, self.by_measure[measure.name].measured.interval)

    def cell(self, measure: Measure) -> str | None:
        """Return `mean ± sd [low, high] #ranks`, as far as each is known."""
        placed_row, found = self.by_measure[measure.name], self.reading(measure)
        if found.spread is None:
            return None
        text = form_of(measure)(found)
        return text if placed_row.best is None else f"{text} #{placed_row.rank}"


def applies(selection: Selection) -> bool:
    """Whether any evaluation has a measure of the character that the leaderboard doesn't show."""
    return any(m.headline == 0 for group in comparable(selection.scored()) for m in _measures(group))


def build(selection: Selection) -> Table:
    """Return a section for each set of comparable results that have measures of the character."""
    sections = [_Characters(group) for group in comparable(selection.scored()) if _measures(group)]
    printed = [measure for section in sections for measure in section.measures]
    said = [*notes.units(printed), _CELLS]
    return Table(
        title=f"Characters: {selection.title}",
        columns=HEAD,
        sections=[section.section() for section in sections],
        notes=[*notes.left_out(selection), *said, notes.SPREADS, notes.INTERVALS, notes.CSV]
        if sections
        else [_NOTHING],
        raw=[row for section in sections for row in raw_rows(section.columns, section.rows)],
    )


def _measures(group: Comparable) -> list[Measure]:
    """Return the measures of the character, in the order that their descriptions give."""
    return sorted((m for m in group.measures if m.character > 0), key=lambda m: m.character)


@dataclass(frozen=True)
class _Characters:
    """A section: comparable settings, those with a ceiling last."""

    group: Comparable

    @cached_property
    def measures(self) -> list[Measure]:
        """The measures that any setting has."""
        return [m for m in _measures(self.group) if any(s.spread(m.name) for s in self.group.settings)]

    @cached_property
    def rows(self) -> list[CharacterRow]:
        """The rows in order of the first measure, the ceiling last and without ranks."""
        by_measure = {m.name: {id(row.setting): row for row in placed(self.group.settings, m)} for m in self.measures}
        order = list(by_measure[self.measures[0].name].values()) if self.measures else []
        return [
            CharacterRow(row.setting, {name: rows[id(row.setting)] for name, rows in by_measure.items()})
            for row in order
        ]

    @cached_property
    def columns(self) -> list[Column]:
        """The columns of the section, those of raw rows among them."""
        return [
            *setting_columns(_setting, references.marked, model=len(self.group.models) > 1),
            Column("seeds", value=lambda row: len(row.setting.results)),
            *(column for measure in self.measures for column in _columns(measure)),
            Column("trainable", value=lambda row: _mean(row, "training.trainable_parameters"), form=count),
            Column("CPU s", value=lambda row: _mean(row, "resources.cpu_seconds"), form=seconds),
            *identity_columns(_setting),
            *cost_columns(_setting),
        ]

    def section(self) -> Section:
        models = self.group.models
        title = f"{models[0]} · {self.group.data}" if len(models) == 1 else self.group.data
        return Section(title, cells(self.columns, self.rows), self._notes(), shown(self.columns))

    def _notes(self) -> Sequence[str]:
        settings = [row.setting for row in self.rows]
        return [*remarks.notes(settings), *references.notes(settings)]


def _columns(measure: Measure) -> list[Column]:
    """Return a measure's printed column, and its raw ones."""
    heading = measure.label if measure.higher_is_better else f"{measure.label} ↓"

    def rank(row: CharacterRow, end: str) -> int | None:
        found: int | None = getattr(row.by_measure[measure.name], end)
        return found

    return [
        Column(heading, value=lambda row: row.cell(measure) or ABSENT),
        Column(value=lambda row: row.reading(measure), raw=measure.short),
        Column(value=lambda row: rank(row, "best"), raw=f"{measure.short}_best_rank"),
        Column(value=lambda row: rank(row, "worst"), raw=f"{measure.short}_worst_rank"),
    ]


def _setting(row: CharacterRow) -> Setting:
    return row.setting


def _mean(row: CharacterRow, dotted: str) -> Any:
    spread = row.setting.spread(dotted)
    return None if spread is None else spread.mean
