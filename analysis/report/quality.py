"""Quality against cost: settings that may be compared, and which of them no other beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from ..read.comparable import Comparable, comparable
from ..read.labels import model_label
from ..read.measures import Measure
from ..read.results import RunResult
from ..read.settings import Setting
from ..statistics.ranking import tokenizers
from ..tables.table import Column, cells

COSTS = (
    "resources.cpu_seconds",
    "resources.wall_seconds",
    "training.trainable_parameters",
    "training.tokens",
)


@dataclass(frozen=True)
class QualityPlot:
    """Settings that may be compared, with means over seeds: `values[metric][index]`, `costs` likewise.

    `fronts[metric][cost]` has the indices of those that no other setting beats in both.
    """

    title: str
    settings: Sequence[Setting]
    labels: Sequence[str]
    metrics: Sequence[Measure]
    spent: Sequence[Measure]
    values: dict[str, list[float | None]]
    costs: dict[str, list[float | None]]
    fronts: dict[str, dict[str, list[int]]]

    def columns(self) -> list[Column]:
        """Return the columns of its table, whose rows are indices of settings."""
        first = self.metrics[0]
        return [
            Column("setting", right=False, value=lambda index: self.labels[index]),
            *(_number(measure, self.values[measure.name]) for measure in self.metrics),
            *(_number(measure, self.costs[measure.name]) for measure in self.spent),
            Column(f"on the front of {first.label} and", right=False, value=self._on_front),
        ]

    def rows(self) -> list[list[str]]:
        return cells(self.columns(), range(len(self.settings)))

    def _on_front(self, index: int) -> str | None:
        fronts = self.fronts[self.metrics[0].name]
        return ", ".join(measure.label for measure in self.spent if index in fronts[measure.name]) or None


def quality_plots(results: Sequence[RunResult]) -> list[QualityPlot]:
    """Return a plot for each set of comparable results that has a metric, a cost and two settings."""
    found = map(_plot, comparable(results))
    return [plot for plot in found if plot is not None]


def _plot(group: Comparable) -> QualityPlot | None:
    settings = group.settings
    several = tokenizers(settings) > 1
    # A value a token counts other tokens for another tokenizer, so only one base's may be set side by side.
    usable = [m for m in group.measures.headlines() if m.higher_is_better is not None and not (m.per_token and several)]
    values = _known(usable, settings)
    costs = _known([group.measures[name] for name in COSTS], settings)
    if len(settings) < 2 or not values or not costs:
        return None
    metrics = [group.measures[name] for name in values]
    return QualityPlot(
        title=f"{' / '.join(group.models)} · {group.data}",
        settings=settings,
        labels=[_label(setting, len(group.models) > 1) for setting in settings],
        metrics=metrics,
        spent=[group.measures[name] for name in costs],
        values=values,
        costs=costs,
        fronts={
            metric.name: {name: front(costs[name], values[metric.name], not metric.higher_is_better) for name in costs}
            for metric in metrics
        },
    )


def front(costs: Sequence[float | None], values: Sequence[float | None], less_is_better: bool) -> list[int]:
    """Return the indices of the Pareto front, cheapest first: no other is at least as good in both and better in one.

    Those of which either is unknown are left out.
    """
    sign = 1 if less_is_better else -1
    known = [
        (cost, sign * value, index)
        for index, (cost, value) in enumerate(zip(costs, values, strict=True))
        if cost is not None and value is not None
    ]
    kept: list[tuple[float, float, int]] = []
    for cost, value, index in sorted(known):
        if not kept or value < kept[-1][1] or (cost, value) == kept[-1][:2]:
            kept.append((cost, value, index))
    return [index for _, _, index in kept]


def _known(measures: Sequence[Measure], settings: Sequence[Setting]) -> dict[str, list[float | None]]:
    """Return the means of numbers that any setting has, by their names."""
    columns = {measure.name: [_mean(setting, measure.name) for setting in settings] for measure in measures}
    return {name: column for name, column in columns.items() if any(value is not None for value in column)}


def _mean(setting: Setting, dotted: str) -> float | None:
    spread = setting.spread(dotted)
    return spread.mean if spread is not None and isfinite(spread.mean) else None


def _number(measure: Measure, column: Sequence[float | None]) -> Column:
    return Column(measure.label, value=lambda index: column[index], form=measure.form)


def _label(setting: Setting, with_model: bool) -> str:
    rate = f" lr={setting.learning_rate:g}" if setting.learning_rate is not None else ""
    return f"{model_label(setting.first)} · {setting.label}{rate}" if with_model else f"{setting.label}{rate}"
