"""Pairs of a base model and its counterpart: with the same settings, and each with its best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...read.labels import canonical, model_label
from ...read.measures import Measure
from ...read.selection import Selection
from ...read.settings import Setting
from ...statistics.measured import Measured, measured_together
from ...statistics.pairs import Pair, pair, together
from ..best_settings import BestSetting, best_settings
from ..numbers import Reading, reading


@dataclass(frozen=True)
class ModelPair:
    """A base and an instruct model, each with a setting, in one metric; the pair's difference is instruct less base.

    `tried` are the settings that each was chosen among, 0 where both have the same setting, and `flattered` whether the
    very numbers that are compared chose any.
    """

    base: Setting
    instruct: Setting
    measure: Measure
    of_base: Measured
    of_instruct: Measured
    pair: Pair
    tried: tuple[int, int] = (0, 0)
    flattered: bool = False

    @property
    def seeds(self) -> str:
        return ", ".join(dict.fromkeys(setting.seeds_count for setting in (self.base, self.instruct)))

    @property
    def family(self) -> str:
        return str(self.base.first.get("config.model.family") or model_label(self.base.first))

    def reading(self, setting: Setting) -> Reading:
        of_side = self.of_base if setting is self.base else self.of_instruct
        return reading(setting, self.measure.name, of_side.interval)

    @property
    def means(self) -> tuple[float, float]:
        """The means of base and instruct."""
        base, instruct = (setting.spread(self.measure.name) for setting in (self.base, self.instruct))
        assert base is not None and instruct is not None, "rows have both"
        return base.mean, instruct.mean

    @property
    def change(self) -> float | None:
        """How much larger the instruct model's is, as a share of the base's."""
        base, instruct = self.means
        return (instruct - base) / base if base > 0 else None


Pairs = Sequence[tuple[Setting, Setting]]


def pairs_of(found: Sequence[Setting]) -> list[tuple[Setting, Setting]]:
    """Return base and instruct settings whose cards name one another and that differ in nothing else."""
    by_name = {(*_card(setting, "name"), setting.config_but("model")): setting for setting in found}
    pairs = []
    for setting in found:
        if _is_base(setting):
            other = by_name.get((*_card(setting, "counterpart"), setting.config_but("model")))
            if other is not None and _is_instruct(other):
                pairs.append((setting, other))
    return pairs


def rows_of(pairs: Pairs, metrics: Sequence[Measure]) -> list[ModelPair]:
    """Return a row a pair and metric; all p-values are one family."""
    rows = []
    measured = measured_together([setting for both in pairs for setting in both], metrics)
    for place, (base, instruct) in enumerate(pairs):
        of_base, of_instruct = measured[2 * place : 2 * place + 2]
        for metric in metrics:
            if base.spread(metric.name) and instruct.spread(metric.name):
                sides = of_base[metric.name], of_instruct[metric.name]
                rows.append(ModelPair(base, instruct, metric, *sides, pair(sides[1], sides[0])))
    corrected = together([row.pair for row in rows], [row.measure.name for row in rows])
    return [replace(row, pair=found) for row, found in zip(rows, corrected, strict=True)]


def best_pairs(found: Sequence[Setting], metrics: Sequence[Measure], selection: Selection) -> list[ModelPair]:
    """Return a row a pair of models and metric, each with the best of its settings by the first metric.

    Nothing where no model was tried with more than one setting: the rows of settings say it all then.
    """
    by_model: dict[tuple[str, str, str], list[Setting]] = {}
    for setting in found:
        quantized = canonical(setting.first.get("config.quantization"))
        by_model.setdefault((*_card(setting, "name"), quantized), []).append(setting)
    chosen = []
    for (_, scale, quantized), of_base in by_model.items():
        of_instruct = by_model.get((_card(of_base[0], "counterpart")[0], scale, quantized), [])
        if metrics and of_instruct and _is_base(of_base[0]) and _is_instruct(of_instruct[0]):
            sides = [_best(side, metrics[0], selection) for side in (of_base, of_instruct)]
            chosen += [(sides[0], sides[1])] if sides[0] and sides[1] else []
    if all(side.tried == 1 for both in chosen for side in both):
        return []
    rows = rows_of([(base.setting, instruct.setting) for base, instruct in chosen], metrics)
    by_base = {id(base.setting): (base, instruct) for base, instruct in chosen}
    return [_with_choice(row, *by_base[id(row.base)]) for row in rows]


def _with_choice(row: ModelPair, base: BestSetting, instruct: BestSetting) -> ModelPair:
    flattered = base.is_flattered or instruct.is_flattered
    return replace(row, tried=(base.tried, instruct.tried), flattered=flattered)


def _best(found: Sequence[Setting], measure: Measure, selection: Selection) -> BestSetting | None:
    """Return the best of all methods, with how many settings were tried in all."""
    methods = list(dict.fromkeys(setting.method for setting in found))
    by_method = best_settings(methods, found, measure, selection.results, selection.studies)
    if not by_method:
        return None
    first = min(by_method.values(), key=lambda one: (one.setting.diverged > 0, measure.sign * one.value))
    return replace(first, tried=sum(one.tried for one in by_method.values()))


def _is_base(setting: Setting) -> bool:
    return setting.first.get("config.model.instruct") is False and bool(setting.first.get("config.model.counterpart"))


def _is_instruct(setting: Setting) -> bool:
    return setting.first.get("config.model.instruct") is True


def _card(setting: Setting, key: str) -> tuple[str, str]:
    """Return a model's name, or that of its counterpart, and its scale."""
    return str(setting.first.get(f"config.model.{key}")), str(setting.first.get("config.model.scale"))
