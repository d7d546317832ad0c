"""All methods over all models, the best setting of each: what a method is worth whatever the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..read.comparable import Comparable
from ..read.labels import method_name, method_of, model_label
from ..read.measures import Measure
from ..read.selection import Selection
from ..read.settings import Setting
from ..statistics.ranking import Placed, placed, ranking_measure
from ..statistics.shared_items import on_shared_items
from . import notes, references, wording
from .best_settings import BestSetting, best_settings
from .numbers import ABSENT
from .options import TableOptions
from .table import Column, Section, Table, cells, shown

SUMMARY = "every method on every model, each with its best setting, with its ranks on that model and over all of them"
NOTE = (
    "A cell is the value of the method's best setting on that model, and after # the ranks among the methods there "
    "that can't be excluded at 95 %. first alone and may be first count models; mean rank is over the models that a "
    "method was run on, by the order of means alone."
)


def applies(selection: Selection) -> bool:
    """Whether several methods were evaluated on several models."""
    results = [result for result in selection.scored() if result.get("predictor.has_model", True) is not False]
    return len({model_label(result) for result in results}) > 1 and len({method_of(result) for result in results}) > 1


@dataclass(frozen=True)
class _OnModel:
    """A method's best setting on a model, and its place among the methods there."""

    best: BestSetting
    row: Placed
    place: int


@dataclass(frozen=True)
class MethodOverModels:
    """A method with its best settings by model."""

    method: str
    by_model: Mapping[str, _OnModel]

    @property
    def label(self) -> str:
        """The method's name, marked where it is a reference."""
        setting = next(iter(self.by_model.values())).best.setting
        plain = setting if setting.is_reference else None
        return references.marked(plain) if plain else method_name(setting.first)

    def cell(self, model: str, measure: Measure) -> str:
        found = self.by_model.get(model)
        if found is None:
            return ABSENT
        return (
            f"{measure.form(found.best.value)} #{found.row.rank}" if found.row.best else measure.form(found.best.value)
        )

    @property
    def first_alone(self) -> int:
        return sum(found.row.worst == 1 for found in self.by_model.values())

    @property
    def may_be_first(self) -> int:
        return sum(found.row.best == 1 for found in self.by_model.values())

    @property
    def mean_rank(self) -> float:
        return sum(found.place for found in self.by_model.values()) / len(self.by_model)


@dataclass(frozen=True)
class _Methods:
    """The methods of a set of comparable results in one metric."""

    group: Comparable
    measure: Measure
    selection: Selection

    @cached_property
    def models(self) -> Mapping[str, Sequence[Setting]]:
        found: dict[str, list[Setting]] = {}
        for setting in self.group.settings:
            if setting.has_model and not setting.is_ceiling and setting.spread(self.measure.name):
                found.setdefault(model_label(setting.first), []).append(setting)
        return found

    @cached_property
    def rows(self) -> list[MethodOverModels]:
        """The methods, best mean rank first."""
        by_method: dict[str, dict[str, _OnModel]] = {}
        for model, settings in self.models.items():
            methods = list(dict.fromkeys(setting.method for setting in settings))
            best = best_settings(methods, settings, self.measure, self.selection.results, self.selection.studies)
            of = {id(found.setting): found for found in best.values()}
            for place, row in enumerate(placed([found.setting for found in best.values()], self.measure), start=1):
                by_method.setdefault(row.setting.method, {})[model] = _OnModel(of[id(row.setting)], row, place)
        found = [MethodOverModels(method, by_model) for method, by_model in by_method.items()]
        return sorted(found, key=lambda row: row.mean_rank)

    @cached_property
    def columns(self) -> list[Column]:
        def of_model(model: str) -> Column:
            return Column(model, value=lambda row: row.cell(model, self.measure))

        return [
            Column("method", right=False, value=lambda row: row.label),
            *(of_model(model) for model in self.models),
            Column("models", value=lambda row: len(row.by_model)),
            Column("first alone", value=lambda row: row.first_alone),
            Column("may be first", value=lambda row: row.may_be_first),
            Column("mean rank", value=lambda row: row.mean_rank, form=lambda mean: f"{mean:.2f}"),
        ]

    def section(self) -> Section:
        runs = [[run for found in row.by_model.values() for run in found.best.setting.run_ids] for row in self.rows]
        title = f"{self.measure.label} · {self.group.data}"
        return Section(title, cells(self.columns, self.rows), self._notes(), shown(self.columns), runs=runs)

    def _notes(self) -> list[str]:
        every = [found for row in self.rows for found in row.by_model.values()]
        said = [f"By {self.measure.label}, {self.measure.direction}."]
        said += wording.evaluated_on(found.row.measured.estimate for found in every)
        said += wording.on_common_items(result for found in every for result in found.best.setting.results)
        flattered = [found.best for found in every if found.best.is_flattered]
        if flattered:
            said.append(wording.flattered(["Best settings"], max(best.tried for best in flattered)))
        chosen = sorted({found.best.study.name for found in every if found.best.study})
        said += [f"Chosen by studies on validation data: {wording.join(chosen)}."] if chosen else []
        return said + wording.losses(found.best.setting for found in every)

    def raw(self) -> list[dict[str, Any]]:
        """Return a row a method and model."""
        return [
            {
                "comparability_key": self.group.key,
                "metric": self.measure.short,
                "method": row.method,
                "model": found.best.setting.first.get("config.model.name"),
                "scale": found.best.setting.first.get("config.model.scale"),
                "setting": found.best.setting.label,
                "learning_rate": found.best.setting.learning_rate,
                "settings_tried": found.best.tried,
                "chosen_by_study": found.best.study and found.best.study.name,
                "value": found.best.value,
                "low": found.row.measured.interval and found.row.measured.interval.low,
                "high": found.row.measured.interval and found.row.measured.interval.high,
                "best_rank": found.row.best,
                "worst_rank": found.row.worst,
                "run_ids": " ".join(found.best.setting.run_ids),
            }
            for row in self.rows
            for found in row.by_model.values()
        ]


def build(selection: Selection, options: TableOptions | None = None) -> Table:
    """Return a section for each set of comparable results and metric: those asked for, else what all models share."""
    asked = options.metrics if options else ()
    found = [
        _Methods(group, measure, selection)
        for group in on_shared_items(selection.results)
        for measure in _measures(group, asked)
    ]
    found = [methods for methods in found if len(methods.models) > 1 and len(methods.rows) > 1]
    printed = [methods.measure for methods in found]
    said = [*notes.units(printed), NOTE, notes.CSV] if found else ["No set of comparable runs has several of both."]
    return Table(
        title=f"Methods over models: {selection.title}",
        columns=(Column("method", right=False),),
        sections=[methods.section() for methods in found],
        notes=[*notes.left_out(selection), *said],
        raw=[row for methods in found for row in methods.raw()],
    )


def _measures(group: Comparable, asked: Sequence[str]) -> list[Measure]:
    if asked:
        return [group.measures[name] for name in asked]
    usual = ranking_measure([setting for setting in group.settings if setting.has_model], group.measures)
    return [usual] if usual else []
