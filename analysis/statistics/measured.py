"""A setting in a metric as its evaluated items give it: the estimate, its interval, or why there is neither."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..read.measures import Measure
from ..read.results import RunResult
from ..read.samples import Items, SamplesError, read_samples
from ..read.settings import Setting
from .spread import Interval

if TYPE_CHECKING:
    from .estimates import Estimate

TOLERANCE = 1e-3
"""relative difference that the items' value may have from the record's"""


@dataclass(frozen=True)
class Measured:
    """`scaled` is the estimate to compare by: of a metric on a log scale, its logarithm's.

    `trouble` is a sentence on what keeps it from being.
    """

    estimate: Estimate | None = None
    scaled: Estimate | None = None
    interval: Interval | None = None
    trouble: str | None = None


def measured(setting: Setting, metric: Measure) -> Measured:
    """Return what the items of a setting's evaluations give for a metric.

    Nothing where not all of them have the metric and items; `trouble` where there are items that can't be used.
    """
    return measured_all(setting, [metric])[metric.name]


def measured_all(setting: Setting, metrics: Sequence[Measure]) -> dict[str, Measured]:
    """Return the same for several metrics by their names, reading each file once."""
    found = {metric.name: Measured() for metric in metrics}
    files: dict[Path, Items | None] = {}
    for metric in metrics:
        if any(result.number(metric.name) is None for result in setting.results):
            continue
        try:
            items = [_items(result.samples(metric.short), files) for result in setting.results]
        except SamplesError as error:
            found[metric.name] = Measured(trouble=f"No interval for {setting.label}: {error}.")
            continue
        there = [of_result for of_result in items if of_result is not None]
        if len(there) == len(items):
            found[metric.name] = _measured(setting, metric, there)
    return found


def _items(path: Path | None, files: dict[Path, Items | None]) -> Items | None:
    if path is None:
        return None
    if path not in files:
        files[path] = read_samples(path)
    return files[path]


def _measured(setting: Setting, metric: Measure, runs: Sequence[Items]) -> Measured:
    from .aggregates import NoAggregate, aggregate, sums_by_cluster
    from .estimates import estimate, interval

    try:
        of = aggregate(metric)
        sums = []
        for result, items in zip(setting.results, runs, strict=True):
            summed = sums_by_cluster(items.lines, of)
            _agree(metric, items, float(of.value(summed.sums.sum(axis=0))), result)
            sums.append(summed)
        found = estimate(sums, of, setting.is_fixed)
    except NoAggregate as error:
        return Measured(trouble=f"{error}.")
    except KeyError as error:
        return Measured(trouble=f"No interval of {metric.label}: items have no {error.args[0]}.")
    except (ValueError, TypeError, OverflowError) as error:
        return Measured(trouble=f"No interval for {setting.label}: {_reason(error, runs[0])}.")
    scaled = found.log() if of.log_scale else found
    return Measured(found, scaled, interval(found, of))


def _agree(metric: Measure, items: Items, value: float, result: RunResult) -> None:
    recorded = result.number(metric.name)
    if recorded is not None and not math.isclose(value, recorded, rel_tol=TOLERANCE, abs_tol=1e-6):
        raise SamplesError(f"{items.path} gives a {metric.label} of {value:.4g}, its record {recorded:.4g}")


def _reason(error: Exception, items: Items) -> str:
    return str(error) if isinstance(error, SamplesError) else f"{items.path}: {' '.join(str(error).split())}"
