"""What a setting scores, with how far a new evaluation set and a new training seed would move it.

The metric of run s without cluster c, for each c, gives the jackknife's pseudo-values z_sc = C·θ_s − (C − 1)·θ_s(−c).
They stand for the clusters of a table of seeds × clusters, in which a two-way analysis of variance finds

    variance of the mean = variance over clusters / C + what seeds add to it / S

with seeds and clusters as two independent draws (crossed random effects, Searle, Casella & McCulloch 1992, chapter 4;
leaving whole clusters out: Efron & Tibshirani 1993, chapter 11; MacKinnon, Nielsen & Webb 2023 on few clusters, CV3).
The interval is Student's, with degrees of freedom that are the mean, harmonic and weighted by the two parts' shares,
of S − 1 and of the effective number of clusters (as informative if all weighed alike), less one. That mean is lower
than Satterthwaite's, which with two seeds takes a small deviation at its word.

How often 95 % intervals held the truth (4000 repetitions each; scenes of 1–8 lines of 5–40 tokens, sd of a scene 0.4,
of a line 0.8, of what a seed does to a scene 0.05–0.1 and to a line 0.15 nats; the seed's own sd in the columns):

    clusters  one seed   2 seeds 0.02 0.1    3 seeds 0.02 0.1    5 seeds 0.02 0.1
    6         0.954              0.961 0.972         0.956 0.963         0.956 0.959
    8         0.942              0.960 0.966         0.957 0.962         0.949 0.957
    10        0.946              0.951 0.965         0.947 0.963         0.956 0.957
    20        0.950              0.952 0.966         0.950 0.967         0.952 0.962

With one seed the truth is that seed's. Where seeds move more than scenes do (sd 0.3) two of them give 0.93–0.97 and
three 0.96–0.98.

BLEU: scenes of 1–8 lines were drawn from a population of 1500 whose corpus BLEU is the truth (words by Zipf's law; a
prediction keeps each word of its reference with a chance that differs between scenes). On a plain scale the intervals
held it 69–96 % of the time, least where 4-gram matches are rare: a handful of scenes then decides the value. So they
are on a log scale, with the degrees of freedom of the effective number of clusters, weighed by 4-gram matches, and
below six such clusters there is no interval and no test. How often they then held the truth (1500 repetitions each; –
where fewer than two in five give one):

    true BLEU   10     15     20     40     80     160 clusters
    0.04        –      –      –      –      0.971  0.962
    0.07        –      –      –      0.958  0.948  0.952
    0.21        –      0.955  0.949  0.945  0.941  0.943
    0.44        0.936  0.953  0.947  0.955  0.942  0.939

Of two equal settings on 15–80 clusters, paired tests at 5 % said that their BLEU differs in 1.9–4.5 % (1200 each).

Other metrics with two ends, such as shares and ROUGE, have Wilson's interval at the effective number of items. Of
clusters of 1–5 items, hits or misses with a chance that differs between clusters (sd 0.7 in log odds), it held the
truth so often (1000 repetitions; in brackets Student's, which is [0, 0] without a hit):

    chance    8 clusters       20               60               200
    0.005     0.974 (0.145)    0.948 (0.319)    0.975 (0.672)    0.958 (0.877)
    0.02      0.978 (0.475)    0.966 (0.800)    0.966 (0.939)    0.953 (0.927)
    0.2       0.982 (0.938)    0.962 (0.948)    0.950 (0.946)    0.973 (0.975)

Of scores between the ends (a beta distribution) it did so 93–97 % of the time from a mean of 0.05 on; of a mean of 0.02
in 85 % with 8 clusters, 91 % with 20 and 93 % with 60, since a few items decide the value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .aggregates import Aggregate, Sums
from .spread import LEVEL, MIN_CLUSTERS, MIN_EFFECTIVE, Interval
from .student import half_width

Values = NDArray[np.float64]


_NOTHING = 1e-15
"""a variance of shares below which nothing varies"""


class ItemsDiffer(ValueError):
    """Runs weren't evaluated on the same items, so nothing can be paired."""


@dataclass(frozen=True)
class Estimate:
    """`value` is the mean over S seeds; `pseudo` are the pseudo-values (S, C), whose rows have the seeds' values as
    means.

    `weights` (C,) are the clusters' shares of what is averaged; equal `ids` are the same items. `seeds` is S, or 0
    where training noise can't be: an untuned base that answers the same each time. `least` is the smallest effective
    number of clusters that can be trusted.
    """

    value: float
    pseudo: Values
    weights: Values
    clusters: tuple[str, ...]
    ids: int
    items: int
    seeds: int
    least: float = MIN_EFFECTIVE
    moderated: tuple[float, float] | None = None
    """the variance between seeds and its degrees of freedom, with what other rows say of it (`moderation`)"""

    @cached_property
    def by_cluster(self) -> Values:
        """Means over seeds, (C,)."""
        return self.pseudo.mean(axis=0)

    @cached_property
    def cluster_df(self) -> float:
        """Effective number of clusters (Kish) less one."""
        return max(1.0, 1.0 / float((self.weights**2).sum()) - 1.0)

    @cached_property
    def between_seeds(self) -> float:
        """The variance of the value from seed to seed, on the evaluated items; 0 with one seed, which can't show it."""
        return float(self.pseudo.mean(axis=1).var(ddof=1)) if len(self.pseudo) > 1 else 0.0

    @cached_property
    def seed_variance(self) -> float:
        """What training noise adds to the variance of the mean; 0 with one seed."""
        runs, clusters = self.pseudo.shape
        if runs < 2:
            return 0.0
        rest = self.pseudo - self.by_cluster - self.pseudo.mean(axis=1)[:, None] + self.value
        noise = float((rest**2).sum()) / ((runs - 1) * (clusters - 1)) / clusters
        between = self.moderated[0] if self.moderated else self.between_seeds
        return max(between - noise, 0.0) / runs

    @property
    def seed_df(self) -> float:
        """The degrees of freedom of the variance between seeds; 0 with one seed."""
        return self.moderated[1] if self.moderated else len(self.pseudo) - 1.0

    @property
    def cluster_variance(self) -> float:
        """What clusters add to the variance of the mean."""
        return float(self.by_cluster.var(ddof=1)) / len(self.clusters)

    @property
    def variance(self) -> float:
        """The variance of the value for other clusters and seeds."""
        return self.cluster_variance + self.seed_variance

    @property
    def df(self) -> float:
        """The degrees of freedom of that variance."""
        return degrees(self.cluster_variance, self.cluster_df, self.seed_variance, max(self.seed_df, 1.0))

    @property
    def trusted(self) -> bool:
        """Whether there are clusters enough for an interval."""
        return len(self.clusters) >= MIN_CLUSTERS and self.cluster_df >= self.least - 1

    def log(self) -> Estimate | None:
        """Return the estimate of the value's logarithm (by linearization); None for a value that isn't positive."""
        if not (self.value > 0 and math.isfinite(self.value)):
            return None
        logarithm = math.log(self.value)
        pseudo = logarithm + (self.pseudo - self.value) / self.value
        moderated = (self.moderated[0] / self.value**2, self.moderated[1]) if self.moderated else None
        return replace(self, value=logarithm, pseudo=pseudo, moderated=moderated)


def estimate(runs: Sequence[Sums], of: Aggregate, fixed: bool = False) -> Estimate:
    """Return the estimate from the seeds of one setting; `fixed` where another seed can't change anything.

    Raises `ItemsDiffer` when the runs weren't evaluated on the same items, and ValueError for a single cluster.
    """
    first = runs[0]
    if any(run.ids != first.ids for run in runs):
        raise ItemsDiffer("its seeds weren't evaluated on the same items")
    count = len(first.clusters)
    if count < 2:
        raise ValueError("all items are of one scene or dialogue")
    sums = np.stack([run.sums for run in runs])
    total = sums.sum(axis=1, keepdims=True)
    by_seed = of.value(total[:, 0])
    without = of.value(total - sums)
    if not (np.isfinite(by_seed).all() and np.isfinite(without).all()):
        raise ValueError("it has no finite value without some scene or dialogue")
    pseudo = count * by_seed[:, None] - (count - 1) * without
    pseudo += (by_seed - pseudo.mean(axis=1))[:, None]  # the jackknife's estimate of bias is noisier than the bias
    weights = max((_shares(sums[..., index].mean(axis=0)) for index in of.weights), key=lambda found: (found**2).sum())
    value, seeds = float(by_seed.mean()), 0 if fixed else len(runs)
    return Estimate(value, pseudo, weights, first.clusters, first.ids, first.items, seeds, of.least)


def _shares(weights: Values) -> Values:
    """Return the clusters' shares of a sum, (C,); where the sum is nothing, those of a single cluster."""
    return weights / weights.sum() if weights.sum() > 0 else np.eye(len(weights))[0]


def interval(found: Estimate, of: Aggregate, level: float = LEVEL) -> Interval | None:
    """Return the interval of a setting's value; None with fewer clusters than can be trusted."""
    if not found.trusted:
        return None
    on_log = found.log() if of.log_scale or of.skewed else None
    if on_log is None and math.isfinite(of.low) and math.isfinite(of.high):
        ends = Interval(of.low, of.high)
        return within(found.value, found.variance, found.df, len(found.clusters), ends, level)
    scaled = on_log or found
    half = float(half_width(1 - level, scaled.df)) * math.sqrt(scaled.variance)
    low, high = scaled.value - half, scaled.value + half
    if on_log:
        low, high = math.exp(low), math.exp(min(high, 700))
    return Interval(max(low, of.low), min(high, of.high))


def within(value: float, variance: float, df: float, clusters: int, ends: Interval, level: float = LEVEL) -> Interval:
    """Return the interval of a value that lies between two ends: Wilson's, at the effective number of items.

    That is p (1 − p) over the variance, or the number of clusters where nothing varies (Dean & Pagano 2015): no number
    of scenes without a hit shows that there are none.
    """
    size = ends.high - ends.low
    share = min(max((value - ends.low) / size, 0.0), 1.0)
    effective = share * (1 - share) * size**2 / variance if variance > _NOTHING * size**2 else float(clusters)
    z2 = float(half_width(1 - level, df)) ** 2
    centre = (share + z2 / (2 * effective)) / (1 + z2 / effective)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * effective)) / effective) / (1 + z2 / effective)
    return Interval(*(ends.low + size * end for end in (max(0.0, centre - half), min(1.0, centre + half))))


def degrees(cluster: float, cluster_df: float, seed: float, seed_df: float) -> float:
    """Return the degrees of freedom of a variance that is the sum of these two."""
    if not cluster + seed:
        return cluster_df
    return (cluster + seed) / (cluster / cluster_df + seed / seed_df)
