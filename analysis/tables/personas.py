"""How well each character does, of settings that were evaluated on several: one section for each comparable set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..read.comparable import Comparable, comparable
from ..read.measures import METRICS, Measure
from ..read.results import RunResult
from ..read.selection import Selection
from ..read.settings import Setting
from ..statistics.spread import spread
from . import notes
from .numbers import Reading, form_of
from .shared_columns import cost_columns, identity_columns, setting_columns
from .table import Column, Section, Table, cells, raw_rows, shown

SUMMARY = "for each setting and character: the metrics of the character's own items"
HEAD = (Column("character", right=False),)
"""of a table without rows"""


@dataclass(frozen=True)
class CharacterRow:
    """A setting on the items of one character."""

    setting: Setting
    character: str

    @property
    def items(self) -> int | None:
        """How many items of the character were evaluated."""
        found = self._numbers("items")
        return int(found[0]) if found else None

    def reading(self, measure: Measure) -> Reading:
        """Return a metric over the setting's seeds."""
        return Reading(spread(self._numbers(measure.short)), len(self.setting.results))

    def _numbers(self, name: str) -> list[float]:
        values = (_of(result, self.character).get(name) for result in self.setting.results)
        return [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]


def applies(selection: Selection) -> bool:
    """Whether any evaluation has items of several characters."""
    return any(result.part("personas") for result in selection.scored())


def build(selection: Selection) -> Table:
    """Return a section for each set of comparable results that have items of several characters."""
    groups = [group for group in comparable(selection.results) if any(r.part("personas") for r in group.results)]
    found = [(group, _rows(group)) for group in groups]
    printed = [measure for group in groups for measure in group.measures.headlines()]
    said = "A character's figures are of its own items alone; the leaderboard's are of all items together."
    return Table(
        title=f"Personas: {selection.title}",
        columns=HEAD,
        sections=[_section(group, rows) for group, rows in found],
        notes=[*notes.left_out(selection), *notes.units(printed), said, notes.SPREADS, notes.CSV]
        if found
        else ["No evaluation has items of several characters: dataset.persona=[A,B], or all."],
        raw=[row for group, rows in found for row in raw_rows(_columns(group), rows)],
    )


def _rows(group: Comparable) -> list[CharacterRow]:
    """Return a row for each character and setting, a character's rows together."""
    names = sorted({name for result in group.results for name in result.part("personas")})
    return [
        CharacterRow(setting, name)
        for name in names
        for setting in group.settings
        if any(_of(result, name) for result in setting.results)
    ]


def _section(group: Comparable, rows: Sequence[CharacterRow]) -> Section:
    columns = _columns(group)
    return Section(group.data, cells(columns, rows), (), shown(columns), runs=[row.setting.run_ids for row in rows])


def _columns(group: Comparable) -> list[Column]:
    headlines = group.measures.headlines()
    return [
        Column("character", right=False, value=lambda row: row.character, raw="character"),
        *setting_columns(lambda row: row.setting, model=len(group.models) > 1),
        Column("seeds", value=lambda row: row.setting.seeds_label),
        Column("items", value=lambda row: row.items, raw="items"),
        *(_metric(measure, measure.label) for measure in headlines),
        *identity_columns(lambda row: row.setting),
        *(_metric(measure) for measure in group.measures if measure not in headlines),
        *cost_columns(lambda row: row.setting),
    ]


def _metric(measure: Measure, heading: str = "") -> Column:
    name = measure.name.removeprefix(METRICS)
    return Column(heading, value=lambda row: row.reading(measure), form=form_of(measure), raw=name)


def _of(result: RunResult, character: str) -> dict[str, object]:
    found = result.part("personas").get(character)
    return dict(found) if isinstance(found, dict) else {}
