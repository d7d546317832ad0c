"""The run to take home: of comparable runs that trained, the best seed of the best setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from persona_sweeps.errors import UserError
from persona_sweeps.wording import pluralize

from ..read.comparable import Comparable, key_label
from ..read.labels import dataset_label
from ..read.measures import Measure
from ..read.results import RunResult
from ..read.settings import Setting
from .ranking import Placed, placed, ranking_measure
from .shared_items import on_shared_items


@dataclass(frozen=True)
class Winner:
    """A run, and what it was chosen by; `tied` other settings can't be told from its own at 95 %."""

    result: RunResult
    setting: Setting
    measure: Measure
    data: str
    key: str
    """the comparability key of what it was chosen among"""
    settings: int
    tied: int

    def __str__(self) -> str:
        value = self.result.number(self.measure.name)
        assert value is not None
        seeds = f", its best seed of {len(self.setting.results)}" if len(self.setting.results) > 1 else ""
        tied = f"; {self.tied} of the others may be as good" if self.tied else ""
        return (
            f"{self.result.folder.name}: {self.measure.label} {self.measure.form(value)}{seeds}, on {self.data}; "
            f"first of {pluralize(self.settings, 'setting')} that trained{tied}"
        )


def winner(results: Sequence[RunResult], metric: str | None = None) -> Winner:
    """Return the best seed of the setting that is best by a metric (a dotted path), or by the headline that ranks.

    Raises `UserError` where no run trained, and where runs of different data have a winner each: one must be meant.
    """
    found = [won for group in on_shared_items(results) if (won := _of_group(group, metric)) is not None]
    if not found:
        raise UserError("None of these runs is completed, evaluated and trained: there is nothing to choose from.")
    if len(found) > 1:
        listed = "".join(f"\n  {won} ({key_label(won.key)})" for won in found)
        raise UserError(f"{len(found)} runs are the best, each on data of its own: name one, or use --where.{listed}")
    return found[0]


def _of_group(group: Comparable, metric: str | None) -> Winner | None:
    trained = [setting for setting in group.settings if setting.trains and setting.has_model]
    measure = group.measures[metric] if metric is not None else ranking_measure(trained, group.measures)
    if measure is None:
        return None
    rows = [row for row in placed(trained, measure) if row.best is not None]
    if not rows:
        return None
    first = rows[0]
    data = " / ".join(dict.fromkeys(map(dataset_label, group.results)))
    return Winner(_best_seed(first, measure), first.setting, measure, data, group.key, len(trained), _tied(rows))


def _best_seed(row: Placed, measure: Measure) -> RunResult:
    having = [result for result in row.setting.results if result.number(measure.name) is not None]
    return min(having, key=lambda result: measure.sign * (result.number(measure.name) or 0.0))


def _tied(rows: Sequence[Placed]) -> int:
    return sum(row.best == 1 for row in rows[1:])
