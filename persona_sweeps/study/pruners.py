"""Which runs to end early: each is compared with all that have come to the same rung, in training or not.

Optuna's own pruners compare with completed trials (median), or judge a trial before those beside it have reported
(successive halving), so runs that train side by side would not be pruned by one another. These take all reports of a
rung first. A rung is a number of examples seen; values are nats a token, so less is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from persona_sweeps.study.settings import StudySettings

MEDIAN_PEERS = 4
"""runs that must have come to a rung before the median prunes there"""
WILCOXON_P = 0.1


@dataclass(frozen=True, slots=True)
class RungResult:
    """What a trial had come to at a rung."""

    number: int
    nll: float
    item_nll: np.ndarray
    """[N] summed NLL of each held-out completion"""


Judge = Callable[[RungResult, Sequence[RungResult], StudySettings], str | None]
"""(a trial, all at its rung with itself among them, settings) → why to end it, or None"""


def rungs(settings: StudySettings, examples: int, number: int) -> list[int]:
    """Return after how many examples a trial is judged, of the `examples` that it would see.

    They are examples / factorᵏ, as in successive halving (Jamieson & Talwalkar 2016; Li et al. 2020). Under Hyperband
    (Li et al. 2018) the trials take turns at leaving out the first of them.
    """
    found = [math.ceil(examples / settings.pruner_factor**k) for k in range(settings.pruner_rungs, 0, -1)]
    return found[bracket(settings, number) :] if settings.pruner != "none" else []


def bracket(settings: StudySettings, number: int) -> int:
    """Return how many rungs a trial leaves out; only trials of one bracket are compared."""
    return number % (settings.pruner_rungs + 1) if settings.pruner == "hyperband" else 0


def judge(settings: StudySettings, results: Sequence[RungResult], numbers: Sequence[int]) -> Mapping[int, str]:
    """Return which of these trials to end, and why, given all results at their rung."""
    verdicts = {}
    by_number = {standing.number: standing for standing in results}
    for number in numbers:
        own = bracket(settings, number)
        peers = [standing for standing in results if bracket(settings, standing.number) == own]
        reason = JUDGES[settings.pruner](by_number[number], peers, settings)
        if reason is not None:
            verdicts[number] = reason
    return verdicts


def _never(trial: RungResult, peers: Sequence[RungResult], settings: StudySettings) -> str | None:
    return None


def _halving(trial: RungResult, peers: Sequence[RungResult], settings: StudySettings) -> str | None:
    """Keep one in `factor` of those that have come here, and at least one."""
    kept = max(1, len(peers) // settings.pruner_factor)
    better = sum(peer.nll < trial.nll for peer in peers)
    return f"{better} of {len(peers)} runs were better, and {kept} may go on" if better >= kept else None


def _median(trial: RungResult, peers: Sequence[RungResult], settings: StudySettings) -> str | None:
    others = [peer.nll for peer in peers if peer.number != trial.number]
    if len(others) < MEDIAN_PEERS or trial.nll <= (middle := float(np.median(others))):
        return None
    return f"{trial.nll:.3f} nats a token, and the median of {len(others)} other runs was {middle:.3f}"


def _wilcoxon(trial: RungResult, peers: Sequence[RungResult], settings: StudySettings) -> str | None:
    """Paired over the held-out completions, against the best of the others: is this one worse by more than noise?"""
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
"""hydra.sweeper.pruner → how a trial is judged"""
