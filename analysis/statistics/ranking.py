"""Settings in order of a number, each with what its items say of its value and of its rank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..read.labels import base_label
from ..read.measures import Measure, Measures
from ..read.settings import Setting
from .measured import Measured, measured, measured_together
from .pairs import Pair, differences


@dataclass(frozen=True)
class Placed:
    """A setting; `best` and `worst` are the ranks that can't be excluded, None for one without the number.

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
    def rank(self) -> str:
        """The range of ranks in words; a dash for a row without one."""
        if self.best is None:
            return "–"
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


def tokenizers(settings: Iterable[Setting]) -> int:
    """Return how many tokenizers these settings may have: one a base model, since records don't name them."""
    return len({base_label(setting.first) for setting in settings if setting.has_model})


def ranking_measure(settings: Sequence[Setting], known: Measures) -> Measure | None:
    """Return what to rank by unasked: the first headline that all settings have and can be compared by.

    That is one whose record says which way is better and, where models may have several tokenizers, one that isn't of
    tokens. Settings without a model needn't have it. Where no headline is everybody's, the first that anybody has
    counts; None where there is none.
    """
    several = tokenizers(settings) > 1
    comparable = [
        measure
        for measure in known.headlines()
        if measure.higher_is_better is not None and not (measure.per_token and several)
    ]
    models = [setting for setting in settings if setting.has_model and not setting.is_ceiling]
    everybodys = (m for m in comparable if models and all(setting.spread(m.name) for setting in models))
    anybodys = (m for m in comparable if any(setting.spread(m.name) for setting in settings))
    return next(everybodys, None) or next(anybodys, None)


def placed(found: Sequence[Setting], measure: Measure) -> list[Placed]:
    """Return the settings in order of a number, best first, those without it last.

    A ceiling has an interval and no rank: it says the truth, so nothing competes with it. A setting of which a seed
    diverged has none either: what is left of it are the lucky ones.
    """
    values = {
        id(setting): spread.mean
        for setting in found
        if not (setting.is_ceiling or setting.diverged) and (spread := setting.spread(measure.name)) is not None
    }
    having = [setting for setting in found if id(setting) in values]
    ranked = sorted(having, key=lambda setting: measure.sign * values[id(setting)])
    without = [setting for setting in found if id(setting) not in values]
    apart = [Placed(s, measured(s, measure) if _has_interval(s, measure) else Measured()) for s in without]
    return [*_with_ranks(ranked, measure), *sorted(apart, key=_order_of_unranked)]


def _has_interval(setting: Setting, measure: Measure) -> bool:
    return measure.is_metric and (setting.is_ceiling or bool(setting.diverged))


def _order_of_unranked(row: Placed) -> int:
    """Survivors come first, then settings without a value, then the ceiling."""
    return 2 if row.setting.is_ceiling else 0 if row.setting.diverged else 1


def _with_ranks(ranked: Sequence[Setting], measure: Measure) -> list[Placed]:
    items = [Measured() for _ in ranked]
    if measure.is_metric:
        items = [found[measure.name] for found in measured_together(ranked, [measure])]
    estimates = [found.scaled for found in items]
    if all(found is None for found in estimates):
        return [Placed(s, found, 1, len(ranked)) for s, found in zip(ranked, items, strict=True)]
    from .ranks import rank

    ranks = rank(estimates, 0, measure.higher_is_better is True)
    rows = []
    for index, (setting, found) in enumerate(zip(ranked, items, strict=True)):
        against = differences(found, items[0]) if index else Pair()
        against = replace(against, p=ranks.p[index], corrected=ranks.corrected[index])
        rows.append(Placed(setting, found, ranks.best[index], ranks.worst[index], against, ranks.stepwise))
    return rows
