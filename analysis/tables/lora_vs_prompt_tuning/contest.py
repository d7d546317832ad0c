"""The best settings of each method on each model, measured together, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...read.comparable import Comparable
from ...read.measures import Measure
from ...read.settings import Setting
from ...statistics.measured import Measured, measured_together
from ...statistics.pairs import Pair, mean_pair, pair, together
from ...statistics.ranking import tokenizers
from .. import wording
from ..best_settings import BestSetting
from ..numbers import Reading, reading

BASE, LORA, PROMPT = "none", "lora", "prompt_tuning"
NAMES = {BASE: "untuned base", LORA: "LoRA", PROMPT: "prompt tuning"}
"""The methods compared, by `peft.method`, in the order of their rows."""


@dataclass(frozen=True)
class Entrants:
    """A model's settings, with the best of each method by `measure`."""

    model: str
    settings: Sequence[Setting]
    measure: Measure
    best: Mapping[str, BestSetting]

    @property
    def are_both(self) -> bool:
        return LORA in self.best and PROMPT in self.best


@dataclass(frozen=True)
class Duel:
    """LoRA and prompt tuning on one model in one metric; the pair's difference is LoRA less prompt tuning."""

    entrants: Entrants
    measure: Measure
    sides: tuple[Measured, Measured]
    pair: Pair

    @property
    def settings(self) -> tuple[Setting, Setting]:
        return self.entrants.best[LORA].setting, self.entrants.best[PROMPT].setting

    @property
    def means(self) -> tuple[float, float] | None:
        """The means of LoRA and prompt tuning; None where one lacks the metric."""
        lora, prompt = (setting.spread(self.measure.name) for setting in self.settings)
        return (lora.mean, prompt.mean) if lora and prompt else None

    def reading(self, side: int) -> Reading:
        return reading(self.settings[side], self.measure.name, self.sides[side].interval)

    @property
    def lora_is_ahead(self) -> bool | None:
        """Whether LoRA has the better mean; None where they are equal or one lacks the metric."""
        if self.means is None or self.means[0] == self.means[1]:
            return None
        return (self.means[0] > self.means[1]) == self.measure.higher_is_better

    @property
    def verdict(self) -> str:
        return wording.verdict(self.pair, self.measure, NAMES[LORA], NAMES[PROMPT])


@dataclass(frozen=True)
class Summary:
    """All duels in one metric, with the mean of their differences."""

    measure: Measure
    duels: Sequence[Duel]
    pair: Pair

    def ahead(self, lora: bool) -> int:
        """Count the models on which LoRA, or prompt tuning, has the better mean."""
        return sum(duel.lora_is_ahead is lora for duel in self.duels)

    @property
    def ties(self) -> int:
        """How many models have equal means."""
        return sum(duel.lora_is_ahead is None for duel in self.duels)

    def shown(self, name: str) -> int:
        """Count the models on which a method is shown to be better."""
        return sum(duel.verdict == name for duel in self.duels)

    @property
    def sign_p(self) -> float:
        """The p of the sign test over models; a single model has none to speak of."""
        from ...statistics.differences import sign_test

        return sign_test(self.ahead(True), self.ahead(False))


@dataclass(frozen=True)
class Contest:
    """The models of a set of comparable results, their best settings, and the metrics by which they are compared."""

    group: Comparable
    entrants: Sequence[Entrants]
    measures: Sequence[Measure]

    @cached_property
    def measured(self) -> Mapping[int, Mapping[str, Measured]]:
        """Each best setting by id() in each metric, all measured together."""
        found = [best.setting for entrants in self.entrants for best in entrants.best.values()]
        needed = {m.name: m for m in (*self.measures, *(entrants.measure for entrants in self.entrants))}
        return {id(s): by for s, by in zip(found, measured_together(found, list(needed.values())), strict=True)}

    def of(self, entrants: Entrants, method: str, measure: Measure | None = None) -> Measured:
        """Return what the items say of a model's best setting, by default in the metric that chose it."""
        return self.measured[id(entrants.best[method].setting)][(measure or entrants.measure).name]

    @cached_property
    def duels(self) -> Sequence[Duel]:
        """A duel a model and metric that both have; all their p-values are one family."""
        found = []
        for entrants in self.entrants:
            for measure in self.measures if entrants.are_both else ():
                sides = self.of(entrants, LORA, measure), self.of(entrants, PROMPT, measure)
                duel = Duel(entrants, measure, sides, pair(*sides))
                found += [duel] if duel.means else []
        corrected = together([duel.pair for duel in found], [duel.measure.name for duel in found])
        return [replace(duel, pair=of_duel) for duel, of_duel in zip(found, corrected, strict=True)]

    @cached_property
    def summaries(self) -> Sequence[Summary]:
        """A summary for each metric that several models have; tokens of several tokenizers have no mean."""
        found = []
        several = tokenizers(best.setting for of in self.entrants for best in of.best.values()) > 1
        for measure in self.measures:
            if measure.per_token and several:
                continue
            duels = [duel for duel in self.duels if duel.measure.name == measure.name]
            if len(duels) > 1:
                found.append(Summary(measure, duels, mean_pair([duel.sides for duel in duels])))
        corrected = together([summary.pair for summary in found], [summary.measure.name for summary in found])
        return [replace(summary, pair=of_all) for summary, of_all in zip(found, corrected, strict=True)]

    @cached_property
    def against_base(self) -> Mapping[tuple[str, str], Pair]:
        """By model and method, the best setting less the untuned base in the metric that chose it: one family."""
        asked = [(e, m) for e in self.entrants for m in (LORA, PROMPT) if m in e.best and BASE in e.best]
        found = together([pair(self.of(entrants, method), self.of(entrants, BASE)) for entrants, method in asked])
        return {(entrants.model, method): of for (entrants, method), of in zip(asked, found, strict=True)}
