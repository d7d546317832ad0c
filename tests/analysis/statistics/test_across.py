"""The interval of a mean over characters covers, and is that of the estimate where there is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.read.measures import described
from analysis.statistics.across import interval_of_mean
from analysis.statistics.aggregates import Sums, aggregate
from analysis.statistics.estimates import Estimate, estimate, interval

OF = aggregate(described("m", {"aggregate": {"form": "mean", "of": "m"}}))


def drawn(draw: np.random.Generator, truth: float, scenes: int, seeds: int) -> Estimate:
    """Draw a character's value with effects of scenes, lines and seeds; of a single seed, its own is the truth."""
    lines = draw.integers(1, 9, scenes)
    of_scene, of_seed = draw.normal(0, 0.4, scenes), draw.normal(0, 0.1 * (seeds > 1), (seeds, 1))
    values = truth + of_scene + of_seed + draw.normal(0, 0.8 / np.sqrt(lines), (seeds, scenes))
    names = tuple(str(scene) for scene in range(scenes))
    return estimate([Sums(names, np.stack([row * lines, lines], axis=1), 0, int(lines.sum())) for row in values], OF)


@pytest.mark.parametrize(("scenes", "seeds"), [((6, 8, 12), 1), ((6, 6, 20), 3)])
def test_intervals_cover(scenes: tuple[int, ...], seeds: int) -> None:
    draw = np.random.default_rng(0)
    truths = (3.0, 4.0, 2.0)
    hits = 0
    for _ in range(600):
        found = interval_of_mean([drawn(draw, *one, seeds) for one in zip(truths, scenes, strict=True)])
        hits += found.low <= 3.0 <= found.high
    assert 0.925 <= hits / 600 <= 0.98


def test_one_estimate_has_its_own_interval_and_ends_are_kept() -> None:
    one = drawn(np.random.default_rng(1), 3.0, 8, 2)
    own = interval(one, OF)
    assert own is not None
    assert interval_of_mean([one]) == pytest.approx(own)
    assert interval_of_mean([one], low=3.2).low >= 3.2


def test_a_share_of_nothing_as_all_characters_is_not_shown_to_be_nothing() -> None:
    zero = [drawn(np.random.default_rng(n), 0.0, 8, 1) for n in range(3)]
    zero = [replace(one, value=0.0, pseudo=0.0 * one.pseudo) for one in zero]
    found = interval_of_mean(zero, 0.0, 1.0)
    assert found.low == 0 and 0.1 < found.high < 0.25, "24 scenes without a hit"
