"""Settings × seeds × scenes × lines drawn with known variance components, for measuring what intervals hold."""

from __future__ import annotations

import numpy as np

from analysis.read.measures import described
from analysis.statistics.aggregates import Aggregate, Sums, aggregate
from analysis.statistics.estimates import Estimate, estimate
from tests.analysis.records import DESCRIPTIONS


def of(metric: str) -> Aggregate:
    """Return how one of the project's metrics follows from items."""
    return aggregate(described(metric, DESCRIPTIONS[metric]))


NLL = of("completion_nll")
TRUTH = 3.0


def settings(
    rng: np.random.Generator, count: int, seeds: int, scenes: int, seed_sd: float, own: float = 1.0
) -> list[Estimate]:
    """Return settings of true NLL 3: scenes of 1–8 lines of 5–40 tokens, which all settings share.

    Standard deviations: 0.4 a scene, 0.8 a line, and of a setting's own 0.15 a scene and 0.3 a line (times `own`); of a
    seed `seed_sd`, 0.05 a scene and 0.1 a line.
    """
    lines = np.arange(8) < rng.integers(1, 9, size=(scenes, 1))
    tokens = rng.integers(5, 41, size=(scenes, 8)) * lines
    nll = TRUTH + rng.normal(0, 0.4, (scenes, 1)) + rng.normal(0, 0.8, (scenes, 8))
    found = []
    for _ in range(count):
        of_setting = nll + own * (rng.normal(0, 0.15, (scenes, 1)) + rng.normal(0, 0.3, (scenes, 8)))
        runs = []
        for _ in range(seeds):
            noise = rng.normal(0, seed_sd) + rng.normal(0, 0.05, (scenes, 1)) + rng.normal(0, 0.1, (scenes, 8))
            summed = ((of_setting + noise) * tokens).sum(axis=1)
            sums = np.stack([summed, tokens.sum(axis=1).astype(float)], axis=1)
            runs.append(Sums(tuple(f"{n:03d}" for n in range(scenes)), sums, 0, int(lines.sum())))
        found.append(estimate(runs, NLL))
    return found
