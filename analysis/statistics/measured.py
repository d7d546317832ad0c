"""Settings in a metric as their evaluated items give it: estimates, intervals, or why there are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..read.measures import Measure
from ..read.results import RunResult
from ..read.samples import Items, SamplesError, read_samples
from ..read.settings import Setting
from .spread import Interval

if TYPE_CHECKING:
    from .aggregates import Aggregate, Sums
    from .estimates import Estimate

TOLERANCE = 1e-3
"""relative difference that the items' value may have from the record's"""


@dataclass(frozen=True)
class Measured:
    """A setting in a metric.

    `estimate` and its `interval` are of all its items and of its own seeds alone. `shared` is to compare by: on the
    items that the settings measured with it have in common, with seeds' variances moderated by theirs; `scaled` is the
    same, for a metric on a log scale its logarithm's. `trouble` is a sentence on what keeps it from being measured.
    """

    estimate: Estimate | None = None
    interval: Interval | None = None
    shared: Estimate | None = None
    scaled: Estimate | None = None
    trouble: str | None = None

    @property
    def is_log(self) -> bool:
        """Whether it is compared by its logarithm."""
        return self.scaled is not self.shared

    @property
    def is_apart(self) -> bool:
        """Whether it has too few items in common with the settings measured with it."""
        return self.estimate is not None and self.shared is None


def measured(setting: Setting, metric: Measure) -> Measured:
    """Return what the items of one setting give for a metric, by itself."""
    return measured_together([setting], [metric])[0][metric.name]


def measured_together(settings: Sequence[Setting], metrics: Sequence[Measure]) -> list[dict[str, Measured]]:
    """Return what the items of settings that are to be compared give for metrics by their names, a mapping a setting.

    Each file is read once. Nothing where not all evaluations of a setting have the metric and items; `trouble` where
    there are items that can't be used.
    """
    read = [_read(setting, metrics) for setting in settings]
    found: list[dict[str, Measured]] = [{} for _ in settings]
    for metric in metrics:
        compared = _compared(settings, metric, [of_setting[metric.name] for of_setting in read])
        for by_name, one in zip(found, compared, strict=True):
            by_name[metric.name] = one
    return found


@dataclass(frozen=True)
class _Summed:
    """A setting's sums, a seed each, and how the metric follows from them."""

    runs: Sequence[Sums]
    of: Aggregate
    path: Path


def _read(setting: Setting, metrics: Sequence[Measure]) -> dict[str, _Summed | Measured]:
    """Return a setting's sums for each metric, or what there is instead."""
    found: dict[str, _Summed | Measured] = {}
    files: dict[Path, Items | None] = {}
    for metric in metrics:
        found[metric.name] = Measured()
        if any(result.number(metric.name) is None for result in setting.results):
            continue
        try:
            items = [_items(result.samples(metric.short), files) for result in setting.results]
        except SamplesError as error:
            found[metric.name] = Measured(trouble=f"No interval for {setting.label}: {error}.")
            continue
        there = [of_result for of_result in items if of_result is not None]
        if len(there) == len(items):
            found[metric.name] = _sums(setting, metric, there)
    return found


def _items(path: Path | None, files: dict[Path, Items | None]) -> Items | None:
    if path is None:
        return None
    if path not in files:
        files[path] = read_samples(path)
    return files[path]


def _sums(setting: Setting, metric: Measure, runs: Sequence[Items]) -> _Summed | Measured:
    from .aggregates import NoAggregate, aggregate, sums_by_cluster

    try:
        of = aggregate(metric)
        sums = []
        for result, items in zip(setting.results, runs, strict=True):
            summed = sums_by_cluster(items.lines, of, items.places)
            _agree(metric, items, float(of.value(summed.sums.sum(axis=0))), result)
            sums.append(summed if result.items is None else summed.only(result.items))
    except NoAggregate as error:
        return Measured(trouble=f"{error}.")
    except KeyError as error:
        return Measured(trouble=f"No interval of {metric.label}: items have no {error.args[0]}.")
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error) if isinstance(error, SamplesError) else f"{runs[0].path}: {' '.join(str(error).split())}"
        return Measured(trouble=f"No interval for {setting.label}: {reason}.")
    return _Summed(sums, of, runs[0].path)


def _compared(settings: Sequence[Setting], metric: Measure, read: Sequence[_Summed | Measured]) -> list[Measured]:
    """Return the settings in one metric, to be compared on the items that they have in common."""
    if not any(isinstance(one, _Summed) for one in read):
        return [one for one in read if isinstance(one, Measured)]  # nothing to compute, which would take numpy
    from .common import common
    from .moderation import moderated

    shared = common([one.runs for one in read if isinstance(one, _Summed)])
    sharing = iter(shared.sharing)
    found = [
        one if isinstance(one, Measured) else _estimated(setting, one, shared.names if next(sharing) else frozenset())
        for setting, one in zip(settings, read, strict=True)
    ]
    by_value = moderated([one.shared for one in found])
    by_scale = moderated([one.scaled for one in found]) if metric.log_scale else by_value
    return [
        replace(one, shared=value, scaled=scaled) for one, value, scaled in zip(found, by_value, by_scale, strict=True)
    ]


def _estimated(setting: Setting, summed: _Summed, names: frozenset[str] | None) -> Measured:
    """Return a setting's estimate, and that on the items with these ids (None: all); without any, it is apart."""
    from .common import SHARE
    from .estimates import estimate, interval

    runs = summed.runs
    if len({run.ids for run in runs}) > 1:
        own = frozenset.intersection(*(run.names for run in runs))
        if len(own) < SHARE * max(run.items for run in runs):
            return Measured(trouble=f"No interval for {setting.label}: its seeds weren't evaluated on the same items.")
        runs = [run.only(own) for run in runs]
    try:
        found = estimate(runs, summed.of, setting.is_fixed)
        shared = found if names is None else None
        if names:
            shared = estimate([run.only(names) for run in runs], summed.of, setting.is_fixed)
    except (ValueError, TypeError, OverflowError) as error:
        return Measured(trouble=f"No interval for {setting.label}: {summed.path}: {' '.join(str(error).split())}.")
    scaled = shared.log() if shared and summed.of.log_scale else shared
    ends = None if _is_certain(setting, found.value, summed.of) else interval(found, summed.of)
    return Measured(found, ends, shared, scaled)


def _is_certain(setting: Setting, value: float, of: Aggregate) -> bool:
    """Whether the truth was compared with itself: its value is the best by definition, whatever the items."""
    return setting.is_ceiling and value in (of.low, of.high)


def _agree(metric: Measure, items: Items, value: float, result: RunResult) -> None:
    all_items = f"metrics_of_all_items.{metric.short}"
    recorded = result.number(metric.name if result.items is None else all_items)
    if recorded is not None and not math.isclose(value, recorded, rel_tol=TOLERANCE, abs_tol=1e-6):
        raise SamplesError(f"{items.path} gives a {metric.label} of {value:.4g}, its record {recorded:.4g}")
