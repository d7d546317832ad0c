"""Which ranks can't be excluded: confidence sets for ranks from all pairwise comparisons.

For every ordered pair the hypothesis that the one isn't better than the other is tested on paired differences; Holm's
procedure bounds by 5 % the chance of any wrong rejection. A row's ranks then run from one more than the rows shown to
be better to all less those shown to be worse (Mogstad, Romano, Shaikh & Wilhelm 2024, "Inference for Ranks with
Applications to Mobility across Neighbourhoods and Academic Achievement across Countries", in the simple pairwise
form); with 95 %, all sets hold the true ranks at once. A row whose set begins at 1 is tied with the best.

docs/certainty.md has how often equal rows are said to differ, and a better one is seen: 2 to 24 rows, 6 to 60 scenes,
1 to 5 seeds, little and much noise between seeds, alike and not (`python -m benchmarks.certainty`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .differences import ROUNDING
from .estimates import Estimate
from .spread import LEVEL
from .student import half_width, two_sided_p

ALPHA = 1 - LEVEL
MOST_STEPWISE = 1000
"""rows up to which all p-values are held and Holm's steps taken; more of them get his first step alone (Bonferroni's
correction), whose threshold is at least half of what any further step has"""
_BLOCK = 256
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """For each row: the best and the worst rank that can't be excluded, and the corrected p of being as good as the
    best.

    `p` is None for the best row itself and for rows that couldn't be tested against it. `stepwise` says whether all
    of Holm's steps were taken, or the first alone.
    """

    best: list[int]
    worst: list[int]
    p: list[float | None]
    corrected: list[float | None]
    stepwise: bool = True


def unknown(count: int) -> Ranking:
    """Return what is known of the ranks of rows that can't be tested: nothing."""
    return Ranking([1] * count, [count] * count, [None] * count, [None] * count)


def rank(estimates: Sequence[Estimate | None], leader: int, maximize: bool) -> Ranking:
    """Return the ranks of rows, of which `leader` has the best value.

    A row without an estimate or with too few clusters, or with other items than most, is tested against none.
    """
    tested = _alike(estimates)
    count = len(estimates)
    if len(tested) < 2:
        return unknown(count)
    rows = [found for index in tested if (found := estimates[index]) is not None]
    pairs = _Pairs(rows, maximize)
    first = tested.index(leader) if leader in tested else None
    against = None if first is None else pairs.against(first)
    stepwise = len(rows) <= MOST_STEPWISE
    if stepwise:
        above, below, corrected = _stepwise(pairs, first)
    else:
        above, below = _single_step(pairs)
        corrected = None if against is None else np.minimum(against * pairs.tests, 1.0)
    ranking = unknown(count)
    for among_tested, index in enumerate(tested):
        ranking.best[index] = 1 + int(above[among_tested])
        ranking.worst[index] = count - int(below[among_tested])
        if index != leader and against is not None and corrected is not None:
            ranking.p[index] = float(against[among_tested])
            ranking.corrected[index] = float(corrected[among_tested])
    return replace(ranking, stepwise=stepwise)


def _alike(estimates: Sequence[Estimate | None]) -> list[int]:
    """Return the indices of those that may be paired: the largest set with the same items."""
    groups: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for index, found in enumerate(estimates):
        if found is not None and found.trusted:
            groups.setdefault((found.ids, found.clusters), []).append(index)
    return max(groups.values(), key=len, default=[])


class _Pairs:
    """All paired differences, as `comparing.difference` has them, in blocks of rows."""

    def __init__(self, rows: Sequence[Estimate], maximize: bool) -> None:
        self.count = len(rows)
        self.tests = self.count * (self.count - 1) // 2
        self._value = np.array([row.value for row in rows]) * (1 if maximize else -1)
        means = np.stack([row.by_cluster for row in rows])
        self._means = means - means.mean(axis=1, keepdims=True)
        self._square = (self._means**2).sum(axis=1)
        self._seed = np.array([row.seed_variance for row in rows])
        self._seed_term = self._seed**2 / np.array([max(row.seed_df, 1.0) for row in rows])
        self._cluster_df = np.array([row.cluster_df for row in rows])
        self._alike = bool(np.ptp(self._cluster_df) < ROUNDING)
        self._size = float(np.abs(self._value).max())

    def block(self, rows: slice | list[int], columns: slice = slice(None)) -> tuple[Values, Values]:
        """Return t, positive where the row is better than the column, and its degrees of freedom (or one for all)."""
        value = self._value[rows, None] - self._value[columns]
        tied = np.abs(value) <= ROUNDING * self._size
        clusters = self._means.shape[1]
        cluster = self._means[rows] @ self._means[columns].T  # and from here in place, since blocks are large
        cluster *= -2
        cluster += self._square[rows, None]
        cluster += self._square[columns]
        np.maximum(cluster, 0.0, out=cluster)
        cluster /= clusters * (clusters - 1)
        cluster_df = self._cluster_df[rows, None]
        if not self._alike:
            cluster_df = np.minimum(cluster_df, self._cluster_df[columns])
        with np.errstate(divide="ignore", invalid="ignore"):
            if not self._seed.any():
                t = np.divide(value, np.sqrt(cluster, out=cluster), out=cluster)
                t[tied] = 0.0
                return t, cluster_df
            seed = self._seed[rows, None] + self._seed[columns]
            terms = self._seed_term[rows, None] + self._seed_term[columns]  # Welch's degrees of freedom: seed² / terms
            variance = cluster + seed
            shares = cluster / cluster_df + np.where(seed > 0, terms / seed, 0.0)
            df = np.where(variance > 0, variance / shares, cluster_df)
            return np.where(tied, 0.0, value / np.sqrt(variance)), df

    def against(self, row: int) -> Values:
        """Return the uncorrected two-sided p of each row against this one."""
        t, df = self.block([row])
        return two_sided_p(t[0], df[0])

    def blocks(self) -> Iterator[tuple[slice, slice, Values, Values]]:
        """Yield rows, columns, t and degrees of freedom of blocks that together hold every pair at least once."""
        for start in range(0, self.count, _BLOCK):
            rows, columns = slice(start, min(start + _BLOCK, self.count)), slice(start, self.count)
            yield rows, columns, *self.block(rows, columns)


def _stepwise(pairs: _Pairs, leader: int | None) -> tuple[Values, Values, Values | None]:
    """Return how many rows are better and worse than each, and the corrected p against the leader, by Holm's steps.

    Of 2m one-sided tests the k-th smallest p counts (2m − k + 1)-fold; only the side that a difference favours can be
    small.
    """
    count = pairs.count
    t, df = np.zeros((count, count)), np.ones((count, count))
    for rows, columns, of_rows, degrees in pairs.blocks():
        t[rows, columns], df[rows, columns] = of_rows, degrees
    first, second = np.triu_indices(count, 1)
    p = two_sided_p(t[first, second], df[first, second]) / 2
    order = np.argsort(p, kind="stable")
    factors = 2 * pairs.tests - np.arange(pairs.tests)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    square = np.ones((count, count))
    square[first, second] = square[second, first] = corrected
    better = np.triu((square <= ALPHA) & (t > 0), 1)
    worse = np.triu((square <= ALPHA) & (t < 0), 1)
    above = worse.sum(axis=1) + better.sum(axis=0)
    below = better.sum(axis=1) + worse.sum(axis=0)
    return above, below, None if leader is None else square[leader]


def _single_step(pairs: _Pairs) -> tuple[Values, Values]:
    """Return how many rows are better and worse than each by Bonferroni's correction, a block of pairs at a time."""
    above, below = np.zeros(pairs.count), np.zeros(pairs.count)
    for rows, columns, t, df in pairs.blocks():
        needed = half_width(ALPHA / pairs.tests, df)
        worse, better = np.triu(t < -needed, 1), np.triu(t > needed, 1)  # a block begins on the diagonal
        above[rows] += worse.sum(axis=1)
        below[rows] += better.sum(axis=1)
        above[columns] += better.sum(axis=0)
        below[columns] += worse.sum(axis=0)
    return above, below
