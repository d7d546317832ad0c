"""What each parameter did within one study: its importance, and the trials of each of its values."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from ...read.results import FAILED, PRUNED
from ...read.studies import StudyTrial
from ...statistics.importance import MAX_RESAMPLED, TOP, NoImportance, importances
from ..numbers import count
from ..table import Column, Section, cells
from .comparisons import ComparedStudy, run_ids, value_in_words


def _two_decimals(value: float) -> str:
    return f"{value:.2f}"


IMPORTANCE_COLUMNS = [
    Column("parameter", right=False, value=lambda item: item.parameter),
    Column("importance", value=lambda item: item.share, form=_two_decimals),
    Column("5–95 %", value=lambda item: item.spread, form=lambda found: f"{found.low:.2f}–{found.high:.2f}"),
    Column("by chance, up to", value=lambda item: item.chance, form=_two_decimals),
]
MANY = 8
"""whole numbers that may take more values than this are shown in terciles, like floats"""
SLICES_NOTE = (
    "In slices, the other parameters differ as they were drawn, and a slice with more trials has the better chance of "
    "a good best: compare medians first. Numbers are shown in thirds of their range, on the scale they were drawn on."
)


def importance(compared: ComparedStudy, by: str = "") -> Section | str:
    """Return the importance of each parameter, or a sentence on why there is none; `by` names the metric if needed."""
    label = f"{compared.label}, by {by}" if by else compared.label
    try:
        found = importances(compared.study, compared.completed)
    except NoImportance as why:
        return f"No importance of parameters for {label}: {str(why).rstrip('.')}."
    n = len(compared.completed)
    spread = (
        "the range is of resamples of these trials, and chance is what a share exceeds in one of twenty shuffles of "
        "their values: an importance below it may be noise"
        if n <= MAX_RESAMPLED
        else f"range and chance aren't given, which take long with more than {MAX_RESAMPLED} trials"
    )
    note = (
        f"From {n} completed trials, of which the best {max(1, math.ceil(TOP * n))} or so count as good: how much each "
        f"parameter decides whether a trial is among them (PED-ANOVA, Watanabe et al. 2023); {spread}."
    )
    rows = cells(IMPORTANCE_COLUMNS, found)
    return Section(f"Importance of parameters: {label}", rows, [note], IMPORTANCE_COLUMNS)


@dataclass(frozen=True)
class Slice:
    """Some of a parameter's values, in words, and whether a value is one of them."""

    words: str
    has: Callable[[Any], bool]


@dataclass(frozen=True)
class SliceRow:
    """The trials of a study with one slice of a parameter's values."""

    parameter: str
    slice: Slice
    compared: ComparedStudy

    def among(self, trials: Sequence[StudyTrial]) -> list[StudyTrial]:
        return [
            trial for trial in trials if self.parameter in trial.params and self.slice.has(trial.params[self.parameter])
        ]

    @cached_property
    def values(self) -> list[float]:
        """The values of the completed trials."""
        return [trial.value for trial in self.among(self.compared.completed) if trial.value is not None]

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.among(self.compared.study.trials))

    @property
    def best(self) -> float | None:
        return (max if self.compared.study.maximizes() else min)(self.values, default=None)

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values else None


def slices(compared: ComparedStudy) -> Section:
    """Return a row for each value of every parameter, or for each third of its range."""
    form = compared.measure.form
    columns = [
        Column("parameter", right=False, value=lambda row: row.parameter),
        Column("value", right=False, value=lambda row: row.slice.words),
        Column("completed", value=lambda row: len(row.values), form=count),
        Column("pruned", value=lambda row: row.count(PRUNED), form=count),
        Column("failed", value=lambda row: row.count(FAILED), form=count),
        Column("best", value=lambda row: row.best, form=form),
        Column("median", value=lambda row: row.median, form=form),
    ]
    rows, notes = [], []
    for key, distribution in compared.study.space.items():
        found = _slices_of(distribution)
        if found is None:
            notes.append(f"{key} isn't sliced: its distribution can't be read.")
            continue
        rows += [SliceRow(key, part, compared) for part in found]
    title = f"Slices of {compared.measure.label}: {compared.label}"
    runs = [run_ids(row.among(compared.study.trials)) for row in rows]
    return Section(title, cells(columns, rows), notes, columns, runs=runs)


def _slices_of(distribution: Mapping[str, Any]) -> list[Slice] | None:
    """Return the slices of a distribution as Optuna writes it; None for one that can't be read."""
    attributes = distribution.get("attributes")
    kind = KINDS.get(str(distribution.get("name")))
    if kind is None or not isinstance(attributes, Mapping):
        return None
    try:
        return kind(attributes)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _of_choices(attributes: Mapping[str, Any]) -> list[Slice]:
    return [_single(choice) for choice in attributes["choices"]]


def _of_whole_numbers(attributes: Mapping[str, Any]) -> list[Slice]:
    values = range(int(attributes["low"]), int(attributes["high"]) + 1, int(attributes.get("step") or 1))
    return [_single(value) for value in values] if len(values) <= MANY else _terciles(attributes)


def _single(value: Any) -> Slice:
    text = json.dumps(value, sort_keys=True)
    return Slice(value_in_words(value), lambda other: json.dumps(other, sort_keys=True) == text)


def _terciles(attributes: Mapping[str, Any]) -> list[Slice]:
    """Return three equal parts of a range, on its logarithm where that is what values were drawn on."""
    low, high = float(attributes["low"]), float(attributes["high"])
    to, back = (math.log, math.exp) if attributes.get("log") else (float, float)
    cuts = [back(to(low) + (to(high) - to(low)) * third / 3) for third in (1, 2)]
    edges = [-math.inf, *cuts, math.inf]
    words = [value_in_words(edge) for edge in (low, *cuts, high)]
    return [
        Slice(f"{words[third]} to {words[third + 1]}", partial(_lies, edges[third], edges[third + 1]))
        for third in range(3)
    ]


def _lies(least: float, most: float, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < most


KINDS: dict[str, Callable[[Mapping[str, Any]], list[Slice]]] = {
    "CategoricalDistribution": _of_choices,
    "IntDistribution": _of_whole_numbers,
    "FloatDistribution": _terciles,
}
"""How each of Optuna's distributions is sliced, by its name."""
