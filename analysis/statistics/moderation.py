"""How much seeds move a row, with what the other rows of its section say of it: moderated variances.

Two or three seeds say little of their own variance: two that happen to agree would make a row look free of training
noise. So each row's variance between seeds is squeezed towards that of its section, as limma does it for genes (Smyth
2004, "Linear models and empirical Bayes methods for assessing differential expression in microarray experiments"):
if the rows' true variances are scaled inverse χ² with d₀ degrees of freedom around s₀², then

    s̃² = (d₀ s₀² + d s²) / (d₀ + d),  with d₀ + d degrees of freedom,

in which d₀ and s₀² follow from the mean and the variance of log s² over rows. limma has thousands of genes; a table has
a few rows, of which one may be a method that is far noisier than the others. So two things are more careful here: a
row whose own variance is larger keeps it, and d₀ is at most half of one less than the number of rows.

docs/certainty.md has what tables say with and without it (`python -m benchmarks.certainty`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import digamma, polygamma

from .estimates import Estimate

_SMALLEST = 1e-5
"""of the median: what a smaller variance is taken as, whose logarithm would rule all others"""


@dataclass(frozen=True)
class Prior:
    """What rows say of the variance between seeds: its usual value, and the degrees of freedom that this is worth."""

    variance: float
    df: float

    def squeeze(self, variance: float, df: float) -> tuple[float, float]:
        """Return a row's moderated variance and its degrees of freedom."""
        total = self.df + df
        return max((self.df * self.variance + df * variance) / total, variance), total


def moderated(rows: Sequence[Estimate | None]) -> list[Estimate | None]:
    """Return the rows of a section, those with several seeds with moderated variances between them.

    Rows with too few clusters for a test have no say. A lone row with several seeds stays as it is.
    """
    found = prior([row for row in rows if row is not None and row.trusted])
    if found is None:
        return list(rows)
    return [row if row is None or not row.seed_df else _with(row, found) for row in rows]


def _with(row: Estimate, found: Prior) -> Estimate:
    return replace(row, moderated=found.squeeze(row.between_seeds, row.seed_df))


def prior(rows: Sequence[Estimate]) -> Prior | None:
    """Return what rows say of one another; None unless two have several seeds, and any of them differ."""
    seeded = [row for row in rows if row.seed_df]
    variances = np.array([row.between_seeds for row in seeded])
    if len(seeded) < 2 or not (variances > 0).any():
        return None
    most = (len(seeded) - 1) / 2
    df = np.array([row.seed_df for row in seeded], dtype=float)
    variances = np.maximum(variances, _SMALLEST * float(np.median(variances[variances > 0])))
    logs = np.log(variances) - digamma(df / 2) + np.log(df / 2)
    spread = float(logs.var(ddof=1) - polygamma(1, df / 2).mean())
    if spread <= 0:  # no more than chance: all rows are of one variance
        return Prior(float((df * variances).sum() / df.sum()), most)
    half = _inverse_trigamma(spread)
    return Prior(math.exp(float(logs.mean()) + float(digamma(half)) - math.log(half)), min(2 * half, most))


def _inverse_trigamma(value: float) -> float:
    """Return the x whose trigamma is `value`, by Newton's method on its reciprocal, which is nearly linear."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x
