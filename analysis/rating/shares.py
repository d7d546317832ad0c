"""Shares and means of ratings, whose intervals take items of one scene as one draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..statistics.spread import LEVEL, MIN_CLUSTERS, MIN_EFFECTIVE, Interval


@dataclass(frozen=True)
class RatedMean:
    """A mean of `n` values from `clusters` clusters; `low` and `high` are its 95 % interval, None where unknown."""

    value: float
    low: float | None
    high: float | None
    n: int
    clusters: int


@dataclass(frozen=True)
class _Moments:
    """The mean, its variance by leaving clusters out in turn (CV3), the clusters and their effective number (Kish)."""

    value: float
    variance: float
    clusters: int
    effective: float


def share(values: Sequence[float], clusters: Sequence[str]) -> RatedMean:
    """Return the mean of values in 0–1 (a win, a half for a tie), with Wilson's interval at the effective sample size.

    That is p (1 − p) over the cluster-robust variance (CV3), or the number of clusters where all values are the same
    (Dean & Pagano 2015); the quantile is Student's, clusters − 1 degrees. In 3000 simulations each of 6 to 40 scenes
    with 1–5 items, a fifth of them ties, and a win rate of 0.5, 0.63 or 0.74 that varies between scenes (sd 0.7 in log
    odds), 95 % intervals held the truth 94.9–96.0 % of the time; with a win rate of 0.85, 94.2–97.4 %.
    """
    found = _moments(values, clusters)
    return _measured(found, len(values), found.clusters - 1)


def mean(values: Sequence[float], clusters: Sequence[str], ends: tuple[float, float]) -> RatedMean:
    """Return the mean of answers on a scale from `ends[0]` to `ends[1]`, with an interval that ends where that does.

    It is the interval of `share`, with the scale taken as 0–1 and one degree of freedom less than the clusters that
    would be as informative if all weighed alike. In 1500 simulations each of 6 to 40 scenes with 1–5 answers of 1–5,
    normal and then rounded, with sds of 0.4 or 0.9 between scenes and 0.8 within, and true means of 2.5, 3.2, 4.1 or
    4.5, 95 % intervals held the truth 94.1–97.2 % of the time. Student's intervals did so 88–95 %: near an end of the
    scale the variance of few scenes depends on their mean.
    """
    low, size = ends[0], ends[1] - ends[0]
    found = _moments([(value - low) / size for value in values], clusters)
    scaled = _measured(found, len(values), found.effective - 1)
    back = [None if end is None else low + size * end for end in (scaled.low, scaled.high)]
    return RatedMean(low + size * scaled.value, back[0], back[1], scaled.n, scaled.clusters)


def _measured(found: _Moments, n: int, df: float) -> RatedMean:
    """Return a mean in 0–1 with Wilson's interval at so many degrees of freedom."""
    value, variance = found.value, found.variance
    if found.clusters < MIN_CLUSTERS or found.effective < MIN_EFFECTIVE:
        return RatedMean(value, None, None, n, found.clusters)
    from ..statistics.estimates import within  # which takes numpy

    ends = within(value, variance, df, found.clusters, Interval(0.0, 1.0))
    return RatedMean(value, ends.low, ends.high, n, found.clusters)


def _moments(values: Sequence[float], clusters: Sequence[str]) -> _Moments:
    total, n = sum(values), len(values)
    sums: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value
        sizes[cluster] = sizes.get(cluster, 0) + 1
    count = len(sums)
    if count == 1:
        return _Moments(total / n, math.inf, 1, 1.0)
    without = [(total - sums[cluster]) / (n - sizes[cluster]) for cluster in sums]
    centre = sum(without) / count
    variance = (count - 1) / count * sum((value - centre) ** 2 for value in without)
    return _Moments(total / n, variance, count, n**2 / sum(size**2 for size in sizes.values()))


def student(df: float) -> float:
    """Return the half width of a 95 % interval in standard errors."""
    from ..statistics.student import half_width

    return float(half_width(1 - LEVEL, df))
