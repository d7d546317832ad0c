"""Means with their spread over seeds, and what an interval is; `estimates` and `comparing` have how they are found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95
MIN_CLUSTERS = 6
"""scenes or dialogues from which an interval or a test is given: see `estimates` for how often they hold"""
MIN_EFFECTIVE = 4.0
"""effective number of clusters (Kish): so many of equal weight would be as informative"""


@dataclass(frozen=True)
class Spread:
    """Mean of `n` values; `sd` is their sample standard deviation (n - 1), None for a single value."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Return mean and sample standard deviation; None for no values. An infinite value makes both infinite or NaN."""
    if not values:
        return None
    mean = sum(values) / len(values)
    if len(values) == 1:
        return Spread(mean, None, 1)
    return Spread(mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)), len(values))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for their number by Holm 1979; None, where there was no test, counts as none.

    The chance that any true null hypothesis has a corrected p of at most α is at most α, however the tests depend.
    """
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for done, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - done) * p))
        corrected[index] = largest
    return corrected
