"""Settings in order of a metric, each with what its items say of its value and of its rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..read.settings import Setting
from .measured import Measured, maximizes, measured
from .pairs import Pair, differences


@dataclass(frozen=True)
class Placed:
    """A setting; `best` and `worst` are the ranks that can't be excluded, None for one without the metric.

    `against_best` compares it with the first; its corrected p is of the family of all pairs that the ranks rest on, by
    all of Holm's steps where `stepwise`, else by the first alone.
    """

    setting: Setting
    measured: Measured
    best: int | None = None
    worst: int | None = None
    against_best: Pair = Pair()
    stepwise: bool = True

    @property
    def told_rank(self) -> str:
        if self.best is None:
            return "–"
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


def is_better_when_larger(dotted: str) -> bool:
    """Whether more of a number of the record is better: never of what training took."""
    return dotted.startswith("metrics.") and maximizes(dotted.removeprefix("metrics."))


def placed(found: Sequence[Setting], dotted: str) -> list[Placed]:
    """Return the settings in order of a number of the record, best first, those without it last."""
    values = {id(setting): spread.mean for setting in found if (spread := setting.spread(dotted)) is not None}
    sign = -1 if is_better_when_larger(dotted) else 1
    ranked = sorted((s for s in found if id(s) in values), key=lambda setting: sign * values[id(setting)])
    without = [Placed(setting, Measured()) for setting in found if id(setting) not in values]
    return [*_with_ranks(ranked, dotted), *without]


def _with_ranks(ranked: Sequence[Setting], dotted: str) -> list[Placed]:
    metric = dotted.removeprefix("metrics.")
    if metric == dotted:  # not measured on items
        return [Placed(setting, Measured(), 1, len(ranked)) for setting in ranked]
    items = [measured(setting, metric) for setting in ranked]
    estimates = [found.scaled for found in items]
    if all(found is None for found in estimates):
        return [Placed(s, found, 1, len(ranked)) for s, found in zip(ranked, items, strict=True)]
    from .ranks import rank

    ranks = rank(estimates, 0, maximizes(metric))
    rows = []
    for place, (setting, found) in enumerate(zip(ranked, items, strict=True)):
        against = differences(found, items[0]) if place else Pair()
        against = replace(against, p=ranks.p[place], corrected=ranks.corrected[place])
        rows.append(Placed(setting, found, ranks.best[place], ranks.worst[place], against, ranks.stepwise))
    return rows
