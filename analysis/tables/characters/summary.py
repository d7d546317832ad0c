"""Settings over several characters: the mean of what each has as each character."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...read.measures import Measure
from ...read.settings import Setting
from ...statistics.spread import Interval
from .. import references
from ..numbers import ABSENT
from ..table import Column, Section, cells
from .rows import CharacterRow, Characters, heading

_NOTE = (
    "A cell is the mean over the characters, each alike, of a setting's value; [low, high] is its 95 % interval for "
    "other scenes and seeds of these characters (their variances added, Satterthwaite's degrees of freedom). It says "
    "nothing of other characters."
)


@dataclass(frozen=True)
class AcrossRow:
    """One setting as several characters."""

    rows: Sequence[CharacterRow]

    @property
    def setting(self) -> Setting:
        return self.rows[0].setting

    def cell(self, measure: Measure) -> str:
        """Return `mean [low, high]`; a dash where the setting lacks the measure as any of the characters."""
        spreads = [row.reading(measure).spread for row in self.rows]
        means = [found.mean for found in spreads if found is not None]
        if len(means) < len(spreads):
            return ABSENT
        text, found = measure.form(math.fsum(means) / len(means)), self._interval(measure)
        return text if found is None else f"{text} [{measure.form(found.low)}, {measure.form(found.high)}]"

    def _interval(self, measure: Measure) -> Interval | None:
        """Return the interval of the mean; None where one of the characters has none."""
        from ...statistics.across import interval_of_mean

        of_rows = [row.by_measure[measure.name].measured for row in self.rows]
        estimates = [one.estimate for one in of_rows if one.estimate is not None and one.interval is not None]
        return interval_of_mean(estimates, measure.low, measure.high) if len(estimates) == len(self.rows) else None


@dataclass(frozen=True)
class _Across:
    """The settings that were run as each of several characters, where all else is equal."""

    characters: Sequence[str]
    rows: Sequence[AcrossRow]
    groups: Sequence[Characters]

    @cached_property
    def measures(self) -> list[Measure]:
        """The measures that all characters have."""
        names = [{measure.name for measure in group.measures} for group in self.groups]
        return [m for m in self.groups[0].measures if all(m.name in of_group for of_group in names)]

    def section(self) -> Section:
        columns = [
            Column("method", right=False, value=lambda row: references.marked(row.setting)),
            *(
                Column(heading(measure), value=lambda row, measure=measure: row.cell(measure))  # type: ignore[misc]
                for measure in self.measures
            ),
        ]
        runs = [[run for row in across.rows for run in row.setting.run_ids] for across in self.rows]
        title = f"Mean over {len(self.characters)} characters: {', '.join(self.characters)}"
        return Section(title, cells(columns, self.rows), [_NOTE], columns, runs=runs)


def summaries(groups: Sequence[Characters]) -> list[Section]:
    """Return a section for the characters of each model, if there are several that have settings in common."""
    by_rest: dict[str, list[Characters]] = {}
    for group in groups:
        by_rest.setdefault(" ".join(group.group.models), []).append(group)
    return [across.section() for of_model in by_rest.values() if (across := _across(of_model)) is not None]


def _across(groups: Sequence[Characters]) -> _Across | None:
    """Return the settings that several characters share; None if there are none, or two groups of one character."""
    names = [_character(group) for group in groups]
    if len(groups) < 2 or None in names or len(set(names)) < len(names):
        return None
    by_name: list[Mapping[str, CharacterRow]] = [{_identity(row): row for row in group.rows} for group in groups]
    shared = [name for name in by_name[0] if all(name in rows for rows in by_name)]
    rows = [AcrossRow([rows[name] for rows in by_name]) for name in shared]
    return _Across([str(name) for name in names], rows, groups) if rows else None


def _character(group: Characters) -> str | None:
    """Return the one character of a group's runs; None where it has none, or several."""
    found = {str(row.setting.first.get("config.dataset.persona")) for row in group.rows}
    return found.pop() if len(found) == 1 and "None" not in found else None


def _identity(row: CharacterRow) -> str:
    """Return what makes settings the same whoever the character is."""
    return f"{row.setting.label} {row.setting.config_but('dataset')}"
