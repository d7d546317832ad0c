"""How well scores separate a character's lines from other speakers': AUC, with an interval over scenes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_SCENES = 6
"""fewer scenes give no interval: the jackknife's would be too short"""
SETS = 10
"""lines of a set"""
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Separation:
    """The AUC (0–1, 0.5 by chance) of a character's lines against others', and its 95 % interval where there is one."""

    auc: float
    low: float | None
    high: float | None
    own_lines: int
    other_lines: int
    scenes: int

    def as_record(self) -> dict[str, Any]:
        return asdict(self)

    def is_above(self, least: float) -> bool:
        """Whether the AUC is at least so much, and its interval, if any, excludes chance."""
        return self.auc >= least and (self.low is None or self.low > 0.5)

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"AUC {self.auc:.2f}{interval}"


def separation(own: Scores, own_scenes: Sequence[str], other: Scores, other_scenes: Sequence[str]) -> Separation:
    """Return the AUC of `own` scores (N,) against `other` (M,), and a 95 % interval for other scenes.

    AUC is the share of pairs whose own line has the higher score, ties half (Mann & Whitney 1947). The interval is a
    jackknife over scenes on the scale of log-odds, with Student's t (Obuchowski 1997 clusters AUC the same way): lines
    of one scene aren't independent. Simulated coverage is 93 to 96 % (tests). There must be lines of both.
    """
    scenes = sorted({*own_scenes, *other_scenes})
    index = {scene: number for number, scene in enumerate(scenes)}
    of_own = np.array([index[scene] for scene in own_scenes])
    of_other = np.array([index[scene] for scene in other_scenes])
    # wins[a, b] counts the pairs of an own line in scene a and another's line in scene b that the own line wins.
    wins = np.zeros((len(scenes), len(scenes)))
    for scene in range(len(scenes)):
        scores = own[of_own == scene]
        if len(scores):
            above = (scores[:, None] > other[None]) + 0.5 * (scores[:, None] == other[None])
            wins[scene] = np.bincount(of_other, above.sum(axis=0), minlength=len(scenes))
    counts = np.bincount(of_own, minlength=len(scenes)), np.bincount(of_other, minlength=len(scenes))
    auc = float(wins.sum() / (len(own) * len(other)))
    low, high = _interval(auc, wins, *counts)
    return Separation(auc, low, high, len(own), len(other), len(scenes))


def _interval(
    auc: float, wins: NDArray[Any], own: NDArray[Any], other: NDArray[Any]
) -> tuple[float, float] | tuple[None, None]:
    from scipy.stats import t

    n = len(wins)
    if n < LEAST_SCENES or not 0 < auc < 1:
        return None, None
    left_wins = wins.sum() - wins.sum(axis=0) - wins.sum(axis=1) + wins.diagonal()
    pairs = (own.sum() - own) * (other.sum() - other)
    if (pairs == 0).any():
        return None, None
    left = np.clip(left_wins / pairs, 1e-9, 1 - 1e-9)
    log_odds = np.log(left / (1 - left))
    error = math.sqrt((n - 1) / n * ((log_odds - log_odds.mean()) ** 2).sum())
    centre, width = math.log(auc / (1 - auc)), float(t.ppf(0.975, n - 1)) * error
    return _logistic(centre - width), _logistic(centre + width)


def of_sets(texts: Scores, other: Scores, size: int = SETS) -> float:
    """Return the AUC of means of `size` texts against means of `size` lines of others (0–1).

    Both means are taken as normal: Φ(√size · (m₁ − m₂) / √(s₁² + s₂²)), the binormal AUC (Simpson & Fitter 1973, "What
    is the best index of detectability?").
    """
    from scipy.special import ndtr

    spread = math.sqrt(texts.var() + other.var())
    distance = float(texts.mean() - other.mean())
    if spread == 0:
        return 0.5 if distance == 0 else float(distance > 0)
    return float(ndtr(math.sqrt(size) * distance / spread))


def shares_below(scores: Scores | np.float64, other: Scores) -> Scores | np.float64:
    """Return for each score the share of others' (M,) below it, ties half; their mean is the AUC."""
    ordered = np.sort(other)
    below = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return below / (2 * len(ordered))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))
