"""Separation is the AUC that scikit-learn computes, and its interval covers what other scenes give."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score

from persona_sweeps.metrics.style.separation import LEAST_SCENES, Separation, of_sets, separation, shares_below


def test_auc_is_that_of_the_reference_with_ties_too() -> None:
    draw = np.random.default_rng(0)
    for _ in range(100):
        own, other = draw.integers(0, 6, draw.integers(1, 30)) * 1.0, draw.integers(0, 5, draw.integers(1, 30)) * 1.0
        scenes = [str(draw.integers(8)) for _ in own], [str(draw.integers(8)) for _ in other]
        found = separation(own, scenes[0], other, scenes[1])
        reference = roc_auc_score([1] * len(own) + [0] * len(other), [*own, *other])
        assert found.auc == pytest.approx(reference, abs=1e-12)
        assert shares_below(own, other).mean() == pytest.approx(reference, abs=1e-12)


def drawn(draw: np.random.Generator, scenes: int, shift: float, sd: float) -> Separation:
    """Return the separation of lines whose scenes have effects of their own on both sides."""
    own, other = (draw.integers(1, most, scenes) for most in (20, 40))
    effects = draw.normal(0, sd, (2, scenes))
    of = [np.repeat(np.arange(scenes), counts) for counts in (own, other)]
    scores = [draw.normal(effect[index], 1) for effect, index in zip(effects, of, strict=True)]
    return separation(scores[0] + shift, list(map(str, of[0])), scores[1], list(map(str, of[1])))


@pytest.mark.parametrize("scenes", [LEAST_SCENES, 13])
@pytest.mark.parametrize(("shift", "sd"), [(0.0, 0.4), (0.7, 0.0), (0.7, 0.4), (1.5, 0.4)])
def test_intervals_cover(scenes: int, shift: float, sd: float) -> None:
    draw = np.random.default_rng(1)
    truth = ndtr(shift / np.sqrt(2 * (1 + sd**2)))
    found = [drawn(draw, scenes, shift, sd) for _ in range(300)]
    covered = np.mean([one.low <= truth <= one.high for one in found if one.low is not None and one.high is not None])
    assert 0.90 <= covered <= 0.99  # 0.95, less three standard errors of a simulation of 300


def test_few_scenes_and_complete_separation_have_no_interval() -> None:
    draw = np.random.default_rng(2)
    assert drawn(draw, LEAST_SCENES - 1, 0.5, 0.2).low is None
    sure = separation(np.ones(12), list("abcdefabcdef"), np.zeros(12), list("abcdefabcdef"))
    assert (sure.auc, sure.low, str(sure)) == (1.0, None, "AUC 1.00")
    assert sure.is_above(0.6)


def test_an_interval_that_includes_chance_is_not_above_it() -> None:
    assert not Separation(0.65, 0.48, 0.8, 30, 30, 6).is_above(0.6)
    assert not Separation(0.58, 0.55, 0.61, 3000, 3000, 60).is_above(0.6)
    assert Separation(0.65, 0.55, 0.75, 30, 30, 6).is_above(0.6)


def test_sets_of_ten_agree_with_drawn_ones() -> None:
    draw = np.random.default_rng(3)
    texts, other = draw.gamma(2, size=200), draw.gamma(2, size=300) - 0.5
    wins = draw.choice(texts, (20000, 10)).mean(axis=1) > draw.choice(other, (20000, 10)).mean(axis=1)
    assert of_sets(texts, other) == pytest.approx(wins.mean(), abs=0.01)
    assert of_sets(np.ones(5), np.ones(5)) == 0.5
    assert of_sets(np.ones(5), np.zeros(5)) == 1.0
