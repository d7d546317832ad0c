"""Choose the runs to stop early: compare each with all runs that have reached the same rung, in training or not.

Optuna's own pruners compare with completed trials (median), or judge a trial before those beside it have reported
(successive halving), so that runs that train side by side would not prune one another. These pruners first collect all
reports of a rung. A rung is a number of examples seen; values are nats a token, so less is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from persona_sweeps.study.settings import StudySettings

MEDIAN_PEERS = 4
"""other runs that must have reached a rung before the median prunes there"""
WILCOXON_P = 0.1


@dataclass(frozen=True, slots=True)
class RungResult:
    """A trial's likelihoods at a rung."""

    number: int
    nll: float
    item_nll: np.ndarray
    """[N] summed NLL of each held-out completion"""


Judge = Callable[[RungResult, Sequence[RungResult], StudySettings], str | None]
"""(a trial, all trials at its rung including itself, settings) → why to stop it, or None"""


def rungs(settings: StudySettings, examples: int, number: int) -> list[int]:
    """Return the numbers of examples after which a trial is judged; it would see `examples` in all.

    They are examples / factorᵏ, as in successive halving (Jamieson & Talwalkar 2016; Li et al. 2020). In Hyperband
    (Li et al. 2018) the trials skip the first 0, 1, 2, … of them in turn.
    """
    numbers = [math.ceil(examples / settings.pruner_factor**k) for k in range(settings.pruner_rungs, 0, -1)]
    return numbers[bracket(settings, number) :] if settings.pruner != "none" else []


def bracket(settings: StudySettings, number: int) -> int:
    """Return how many rungs a trial skips; only trials of one bracket are compared."""
    return number % (settings.pruner_rungs + 1) if settings.pruner == "hyperband" else 0


def judge(settings: StudySettings, results: Sequence[RungResult], numbers: Sequence[int]) -> Mapping[int, str]:
    """Return why to stop some of these trials, by number, given all results at their rung."""
    verdicts = {}
    by_number = {result.number: result for result in results}
    for number in numbers:
        peers = [r for r in results if bracket(settings, r.number) == bracket(settings, number)]
        reason = JUDGES[settings.pruner](by_number[number], peers, settings)
        if reason is not None:
            verdicts[number] = reason
    return verdicts


def _never(trial: RungResult, peers: Sequence[RungResult], settings: StudySettings) -> str | None:
    return None


def _halving(trial: RungResult, peers: Sequence[RungResult], settings: StudySettings) -> str | None:
    """Keep one in `factor` of the trials that have reached the rung, and at least one."""
    kept = max(1, len(peers) // settings.pruner_factor)
    better = sum(peer.nll < trial.nll for peer in peers)
    return f"{better} of {len(peers)} runs were better, and {kept} may go on" if better >= kept else None


def _median(trial: RungResult, peers: Sequence[RungResult], settings: StudySettings) -> str | None:
    others = [peer.nll for peer in peers if peer.number != trial.number]
    if len(others) < MEDIAN_PEERS or trial.nll <= (middle := float(np.median(others))):
        return None
    return f"{trial.nll:.3f} nats a token, and the median of {len(others)} other runs was {middle:.3f}"


def _wilcoxon(trial: RungResult, peers: Sequence[RungResult], settings: StudySettings) -> str | None:
    """Test, paired over the held-out completions, whether the trial is worse than the best other by more than noise."""
    from scipy.stats import wilcoxon

    best = min((peer for peer in peers if peer.number != trial.number), key=lambda peer: peer.nll, default=None)
    if best is None or trial.nll <= best.nll:
        return None
    differences = trial.item_nll - best.item_nll
    if not differences.any():
        return None
    p = float(wilcoxon(differences, alternative="greater").pvalue)
    return f"worse than run {best.number} on the same completions (p = {p:.3f})" if p < WILCOXON_P else None


JUDGES: dict[str, Judge] = {
    "none": _never,
    "halving": _halving,
    "hyperband": _halving,
    "median": _median,
    "wilcoxon": _wilcoxon,
}
"""hydra.sweeper.pruner → its judge"""
