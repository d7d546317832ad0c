"""The rows of a set of comparable settings: each measure of the character with its ranks, and with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...read.comparable import Comparable
from ...read.measures import Measure
from ...read.settings import Setting
from ...statistics.ranking import Placed, placed
from .. import references, remarks, wording
from ..numbers import ABSENT, Reading, form_of, reading, seconds, tokens
from ..shared_columns import cost_columns, identity_columns, setting_columns
from ..table import Column, Section, cells, shown


@dataclass(frozen=True)
class CharacterRow:
    """A setting, with its rank and interval in each column."""

    setting: Setting
    by_measure: Mapping[str, Placed]

    def reading(self, measure: Measure) -> Reading:
        """Return a measure over the setting's seeds, with its interval."""
        return reading(self.setting, measure.name, self.by_measure[measure.name].measured.interval)

    def ranked(self, measure: Measure) -> str | None:
        """Return `mean #ranks`, as far as each is known."""
        row, found = self.by_measure[measure.name], self.reading(measure)
        if found.spread is None:
            return None
        mean = measure.form(found.spread.mean)
        return mean if row.best is None else f"{mean} #{row.rank}"

    def mean(self, dotted: str) -> float | None:
        """Return the mean of a number of its runs."""
        found = self.setting.spread(dotted)
        return None if found is None else found.mean


def measures_of(group: Comparable) -> list[Measure]:
    """Return the measures of the character, in the order that their descriptions give."""
    return sorted((m for m in group.measures if m.character > 0), key=lambda m: m.character)


def heading(measure: Measure) -> str:
    """Return a measure's heading, with an arrow where lower is better."""
    return measure.label if measure.higher_is_better else f"{measure.label}↓"


@dataclass(frozen=True)
class Characters:
    """Comparable settings, in order of the first measure, those with a ceiling last."""

    group: Comparable

    @cached_property
    def title(self) -> str:
        models = self.group.models
        return f"{models[0]} · {self.group.data}" if len(models) == 1 else self.group.data

    @cached_property
    def measures(self) -> list[Measure]:
        """The measures that any setting has."""
        return [m for m in measures_of(self.group) if any(s.spread(m.name) for s in self.group.settings)]

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
        """The columns of the values with their ranks, and all raw ones."""
        return [
            *self._names,
            *(column for measure in self.measures for column in _columns(measure)),
            Column("trainable", value=lambda row: row.mean("training.trainable_parameters"), form=tokens),
            Column("CPU s", value=lambda row: row.mean("resources.cpu_seconds"), form=seconds),
            *identity_columns(_setting),
            *cost_columns(_setting),
        ]

    @cached_property
    def _names(self) -> list[Column]:
        """The columns that name a setting; its learning rate only where rows of one method differ by it."""
        labels = [row.setting.label for row in self.rows]
        named = setting_columns(_setting, references.marked, model=len(self.group.models) > 1)
        return named if len(set(labels)) < len(labels) else named[:-1]

    def sections(self) -> list[Section]:
        """Return a section of values with ranks, and one of intervals."""
        intervals = [
            *self._names,
            Column("seeds", value=lambda row: row.setting.seeds_count),
            *(_interval_column(measure) for measure in self.measures),
        ]
        runs = [row.setting.run_ids for row in self.rows]
        return [
            Section(self.title, cells(self.columns, self.rows), self._notes(), shown(self.columns), runs=runs),
            Section(f"95 % intervals: {self.title}", cells(intervals, self.rows), (), intervals, runs=runs),
        ]

    def _notes(self) -> Sequence[str]:
        settings = [row.setting for row in self.rows]
        results = [result for setting in settings for result in setting.results]
        return [
            *wording.on_common_items(results),
            *wording.losses(settings),
            *remarks.notes(settings),
            *wording.scored_on_fewer(results),
            *references.notes(settings),
        ]


def _columns(measure: Measure) -> list[Column]:
    """Return a measure's printed column, and its raw ones."""

    def rank(row: CharacterRow, end: str) -> int | None:
        found: int | None = getattr(row.by_measure[measure.name], end)
        return found

    return [
        Column(heading(measure), value=lambda row: row.ranked(measure) or ABSENT),
        Column(value=lambda row: row.reading(measure), raw=measure.short),
        Column(value=lambda row: rank(row, "best"), raw=f"{measure.short}_best_rank"),
        Column(value=lambda row: rank(row, "worst"), raw=f"{measure.short}_worst_rank"),
    ]


def _interval_column(measure: Measure) -> Column:
    return Column(heading(measure), value=lambda row: row.reading(measure), form=form_of(measure))


def _setting(row: CharacterRow) -> Setting:
    return row.setting
