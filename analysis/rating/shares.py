"""Shares and means of ratings, whose intervals take items of one scene as one draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

LEVEL = 0.95
MIN_CLUSTERS = 5
"""fewer scenes or dialogues give no interval"""


@dataclass(frozen=True)
class Measured:
    """A mean of `n` values from `clusters` clusters; `low` and `high` are its 95 % interval, None where unknown."""

    value: float
    low: float | None
    high: float | None
    n: int
    clusters: int


def mean(values: Sequence[float], clusters: Sequence[str]) -> Measured:
    """Return the mean, with Student's interval on its cluster-robust standard error (CR1, clusters − 1 degrees)."""
    value, variance, count = _moments(values, clusters)
    if count < MIN_CLUSTERS:
        return Measured(value, None, None, len(values), count)
    half = student(count - 1) * math.sqrt(variance)
    return Measured(value, value - half, value + half, len(values), count)


def share(values: Sequence[float], clusters: Sequence[str]) -> Measured:
    """Return the mean of values in 0–1 (a win, a half for a tie), with Wilson's interval at the effective sample size.

    That is p (1 − p) over the cluster-robust variance (CR1), or the number of clusters where all values are the same
    (Dean & Pagano 2015); the quantile is Student's, clusters − 1 degrees. In 1500 simulations each of 5 to 40 scenes
    with 1–5 items, a fifth of them ties, and a win rate of 0.5, 0.67 or 0.79 that varies between scenes (sd 0.7 in log
    odds), 95 % intervals held the truth 93.8–96.7 % of the time; those of `mean` 91.6–95.3 %.
    """
    value, variance, count = _moments(values, clusters)
    if count < MIN_CLUSTERS:
        return Measured(value, None, None, len(values), count)
    effective = value * (1 - value) / variance if variance else float(count)
    z2 = student(count - 1) ** 2
    centre = (value + z2 / (2 * effective)) / (1 + z2 / effective)
    half = math.sqrt(z2 * (value * (1 - value) + z2 / (4 * effective)) / effective) / (1 + z2 / effective)
    return Measured(value, max(0.0, centre - half), min(1.0, centre + half), len(values), count)


def _moments(values: Sequence[float], clusters: Sequence[str]) -> tuple[float, float, int]:
    """Return the mean, its cluster-robust variance, and the number of clusters."""
    value = sum(values) / len(values)
    sums: dict[str, float] = {}
    for each, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + each - value
    count = len(sums)
    variance = count / (count - 1) * sum(s * s for s in sums.values()) / len(values) ** 2 if count > 1 else math.inf
    return value, variance, count


@lru_cache
def student(df: int) -> float:
    """Return the half width of a 95 % interval in standard errors."""
    from analysis.students_t import quantile

    return float(quantile(1 - LEVEL, df))
