"""A setting in a metric as its evaluation items give it: the estimate, its interval, or why there is neither."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..read.results import Record
from ..read.samples import Items, SamplesError, read_items
from ..read.settings import Setting, has_model
from .spread import Interval

if TYPE_CHECKING:
    from .estimates import Estimate

TOLERANCE = 1e-3
"""Relative difference that the items' value may have from the record's."""


@dataclass(frozen=True)
class Measured:
    """`scaled` is the estimate to compare by: of a perplexity, its logarithm. `trouble` says what keeps it from
    being."""

    estimate: Estimate | None = None
    scaled: Estimate | None = None
    interval: Interval | None = None
    trouble: str | None = None


def measured(setting: Setting, metric: str) -> Measured:
    """Return what the items of a setting's runs give for a metric.

    Nothing where no run has the metric or a run has no items; `trouble` where there are items that can't be used.
    """
    return measured_all(setting, [metric])[metric]


def measured_all(setting: Setting, metrics: Sequence[str]) -> dict[str, Measured]:
    """Return the same for several metrics, reading each file once."""
    wanted = [name for name in metrics if all(run.number(f"metrics.{name}") is not None for run in setting.records)]
    found = {name: Measured() for name in metrics}
    if not wanted:
        return found
    runs: list[Items] = []
    for record in setting.records:
        try:
            items = read_items(record)
        except SamplesError as error:
            return found | {name: Measured(trouble=f"No interval for {setting.label}: {error}.") for name in wanted}
        if items is None:
            return found
        runs.append(items)
    return found | {name: _measured(setting, name, runs) for name in wanted}


def is_likelihood(metric: str) -> bool:
    return metric.endswith(("_nll", "_ppl", "_per_byte"))


def maximizes(metric: str) -> bool:
    """Whether more of one of the record's metrics is better: of all but likelihoods and losses."""
    return not (is_likelihood(metric) or metric.endswith("loss"))


def is_fixed(record: Record, metric: str) -> bool:
    """Whether another seed could change nothing: an untuned base, unless it draws its answers at random; no model."""
    if not has_model(record):
        return True
    greedy = record.get("config.generation.method", "greedy") == "greedy"
    return record.get("config.peft.method") == "none" and (is_likelihood(metric) or greedy)


def _measured(setting: Setting, metric: str, runs: Sequence[Items]) -> Measured:
    from .aggregates import corpus, sums_by_cluster
    from .estimates import estimate, interval

    of = corpus(metric)
    try:
        sums = []
        for record, items in zip(setting.records, runs, strict=True):
            summed = sums_by_cluster(items.lines, of)
            _agree(metric, items, float(of.value(summed.sums.sum(axis=0))), record)
            sums.append(summed)
        found = estimate(sums, of, is_fixed(setting.first, metric))
    except KeyError as error:
        return Measured(trouble=f"No interval of {metric}: items don't tell their {error.args[0]}.")
    except (ValueError, TypeError, OverflowError) as error:
        return Measured(trouble=f"No interval for {setting.label}: {_told(error, runs[0])}.")
    scaled = found.log() if of.ratio else found
    return Measured(found, scaled, interval(found, of))


def _agree(metric: str, items: Items, value: float, record: Record) -> None:
    recorded = record.number(f"metrics.{metric}")
    if recorded is not None and not math.isclose(value, recorded, rel_tol=TOLERANCE, abs_tol=1e-6):
        raise SamplesError(f"{items.path} gives a {metric} of {value:.4g}, its record {recorded:.4g}")


def _told(error: Exception, items: Items) -> str:
    return str(error) if isinstance(error, SamplesError) else f"{items.path}: {' '.join(str(error).split())}"
