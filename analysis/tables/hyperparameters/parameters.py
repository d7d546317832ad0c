"""What each parameter did within one study: its importance, and the trials of each of its values."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...read.measures import Measure, measure
from ...read.studies import FAILED, PRUNED, Trial
from ...statistics.importance import MAX_RESAMPLED, TOP, NoImportance, importances
from .. import numbers
from ..table import Column, Section
from .comparisons import Entrant, run_ids, value_in_words

IMPORTANCE_COLUMNS = (
    Column("parameter", right=False),
    Column("importance"),
    Column("5–95 %"),
    Column("by chance, up to"),
)
SLICE_COLUMNS = (
    Column("parameter", right=False),
    Column("value", right=False),
    Column("completed"),
    Column("pruned"),
    Column("failed"),
    Column("best"),
    Column("median"),
)
MANY = 8
"""whole numbers that may take more values than this are told in terciles, like floats"""
SLICES_NOTE = (
    "In slices, the other parameters differ as they were drawn, and a slice with more trials has the better chance of "
    "a good best: compare medians first. Numbers are told in thirds of their range, on the scale they were drawn on."
)


def importance(entrant: Entrant) -> Section | str:
    """Return the importance of each parameter, or a sentence on why there is none."""
    try:
        found = importances(entrant.study, entrant.completed)
    except NoImportance as why:
        return f"No importance of parameters for {entrant.label}: {str(why).rstrip('.')}."
    n = len(entrant.completed)
    rows = [
        [
            item.parameter,
            f"{item.share:.2f}",
            numbers.ABSENT if item.spread is None else f"{item.spread.low:.2f}–{item.spread.high:.2f}",
            numbers.ABSENT if item.chance is None else f"{item.chance:.2f}",
        ]
        for item in found
    ]
    spread = (
        "the range is of resamples of these trials, and chance is what a share exceeds in one of twenty shuffles of "
        "their values: an importance below it may be noise"
        if n <= MAX_RESAMPLED
        else f"range and chance aren't told, which take long with more than {MAX_RESAMPLED} trials"
    )
    note = (
        f"From {n} completed trials, of which the best {max(1, math.ceil(TOP * n))} or so count as good: how much each "
        f"parameter decides whether a trial is among them (PED-ANOVA, Watanabe et al. 2023); {spread}."
    )
    return Section(f"Importance of parameters: {entrant.label}", rows, [note], IMPORTANCE_COLUMNS)


@dataclass(frozen=True)
class Slice:
    """Some of a parameter's values, in words, and whether a value is one of them."""

    words: str
    has: Callable[[Any], bool]


def slices(entrant: Entrant) -> Section:
    """Return a row for each value of every parameter, or for each third of its range."""
    metric = measure(entrant.study.metrics[0])
    rows, runs, notes = [], [], []
    for key, distribution in entrant.study.space.items():
        found = _slices_of(distribution)
        if found is None:
            notes.append(f"{key} isn't sliced: its distribution can't be read.")
            continue
        rows += [[key, part.words, *_cells(entrant, key, part, metric)] for part in found]
        runs += [run_ids(_those(entrant.study.trials, key, part)) for part in found]
    title = f"Slices of {metric.label}: {entrant.label}"
    return Section(title, rows, notes, SLICE_COLUMNS, runs=runs)


def _those(trials: Sequence[Trial], key: str, part: Slice) -> list[Trial]:
    return [trial for trial in trials if key in trial.params and part.has(trial.params[key])]


def _cells(entrant: Entrant, key: str, part: Slice, metric: Measure) -> list[str]:
    values = [trial.value for trial in _those(entrant.completed, key, part) if trial.value is not None]
    best = max if entrant.study.maximizes() else min
    others = _those(entrant.study.trials, key, part)
    return [
        numbers.count(len(values)),
        *(numbers.count(sum(trial.state == state for trial in others)) for state in (PRUNED, FAILED)),
        metric.form(best(values)) if values else numbers.ABSENT,
        metric.form(statistics.median(values)) if values else numbers.ABSENT,
    ]


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
        Slice(f"{words[place]} to {words[place + 1]}", partial(_lies, edges[place], edges[place + 1]))
        for place in range(3)
    ]


def _lies(least: float, most: float, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < most


KINDS: dict[str, Callable[[Mapping[str, Any]], list[Slice]]] = {
    "CategoricalDistribution": _of_choices,
    "IntDistribution": _of_whole_numbers,
    "FloatDistribution": _terciles,
}
"""How each of Optuna's distributions is sliced, by its name."""
