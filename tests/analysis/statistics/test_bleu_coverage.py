"""Intervals of corpus BLEU hold the BLEU of the population that scenes were drawn from, or aren't given."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from analysis.statistics.aggregates import Sums, sums_by_cluster
from analysis.statistics.differences import difference
from analysis.statistics.estimates import Estimate, estimate, interval
from tests.analysis.simulated import of
from tests.analysis.synthetic_runs import bleu_counts

BLEU = of("bleu")
WORDS = 400


def words(places: np.ndarray) -> str:
    return " ".join(f"w{place}" for place in places)


@lru_cache
def population(kept: float, scenes: int, settings: int = 1) -> np.ndarray:
    """Return the sums (settings, scenes, 10) of a finite population.

    Words follow Zipf's law; a prediction keeps each word of its reference with a chance whose log odds are `kept` on
    average, with sd 0.6 between scenes. Settings differ by luck alone.
    """
    rng = np.random.default_rng(1)
    often = 1 / np.arange(1, WORDS + 1)
    lines: list[list[dict[str, Any]]] = [[] for _ in range(settings)]
    for scene in range(scenes):
        chance = 1 / (1 + np.exp(-rng.normal(kept, 0.6)))
        for _ in range(rng.integers(1, 9)):
            length = int(rng.integers(4, 25))
            reference = rng.choice(WORDS, length, p=often / often.sum())
            for of_setting in lines:
                said = rng.choice(WORDS, max(1, length + int(rng.integers(-4, 5))), p=often / often.sum())
                both = min(length, len(said))
                said[:both] = np.where(rng.random(both) < chance, reference[:both], said[:both])
                counts = bleu_counts(words(said), words(reference))
                of_setting.append({"id": str(len(of_setting)), "cluster": f"{scene:05d}", "bleu_counts": counts})
    return np.stack([sums_by_cluster(of_setting, BLEU).sums for of_setting in lines])


def measured(sums: np.ndarray) -> Estimate:
    return estimate([Sums(tuple(f"{n:03d}" for n in range(len(sums))), sums, 0, len(sums))], BLEU)


def held(kept: float, clusters: int, repetitions: int, scenes: int = 1500) -> tuple[float, float]:
    """Return how often an interval was given, and how often one that was given held the truth."""
    (all_scenes,) = population(kept, scenes)
    truth = float(BLEU.value(all_scenes.sum(axis=0)))
    rng = np.random.default_rng(clusters)
    found = [interval(measured(all_scenes[rng.integers(0, scenes, clusters)]), BLEU) for _ in range(repetitions)]
    given = [one for one in found if one is not None]
    return len(given) / repetitions, float(np.mean([one.low <= truth <= one.high for one in given])) if given else 1.0


def test_an_interval_of_bleu_holds_that_of_the_population() -> None:
    given, right = held(0.0, 40, 400, scenes=400)
    assert given > 0.9 and 0.92 <= right <= 0.98


def test_where_4_gram_matches_are_rare_no_interval_is_given() -> None:
    assert held(-3.0, 20, 100, scenes=300)[0] == 0


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("kept", [-1.5, -1.0, 0.0, 1.0])
@pytest.mark.parametrize("clusters", [10, 15, 20, 40, 80, 160])
def test_intervals_of_bleu_hold_the_truth_wherever_they_are_given(kept: float, clusters: int) -> None:
    given, right = held(kept, clusters, 1500)
    truth = float(BLEU.value(population(kept, 1500)[0].sum(axis=0)))
    print(f"\nBLEU {truth:.3f}, {clusters} clusters: given {given:.2f}, right {right:.3f}")
    if given > 0.2:  # else hardly any to count
        assert 0.92 <= right <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("kept", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("clusters", [15, 40, 80])
def test_equal_settings_are_seldom_said_to_differ_in_bleu(kept: float, clusters: int) -> None:
    both = population(kept, 1000, settings=2)
    rng = np.random.default_rng(clusters)
    wrong, tested = 0, 0
    for _ in range(1200):
        pair = both[:, rng.integers(0, both.shape[1], clusters)]
        turned = rng.random(clusters) < 0.5  # scene by scene either may have said either, so there is no difference
        first, second = np.where(turned[:, None], pair[::-1], pair)
        p = difference(measured(first), measured(second)).p
        tested += p is not None
        wrong += p is not None and p <= 0.05
    print(f"\nkept {kept}, {clusters} clusters: {tested} tested, {wrong / max(1, tested):.3f} wrong")
    assert wrong <= 0.05 * tested + 2.5 * (0.05 * 0.95 * tested) ** 0.5
