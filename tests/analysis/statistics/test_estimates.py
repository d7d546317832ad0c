"""Intervals and paired tests hold the truth as often as they say, and refuse what they can't say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.statistics.aggregates import Sums
from analysis.statistics.differences import difference, relative
from analysis.statistics.estimates import Estimate, ItemsDiffer, estimate, interval
from analysis.statistics.spread import MIN_CLUSTERS
from analysis.statistics.student import half_width
from benchmarks.certainty import TRUTH
from benchmarks.certainty import drawn as settings
from tests.analysis.simulated import NLL, of

SCENES = tuple("abcdefgh")


def sums(values: list[float], weights: list[float] | None = None, ids: int = 0) -> Sums:
    """Return the sums of scenes that have these mean NLLs."""
    size = weights or [10.0] * len(values)
    table = np.array([[value * weight, weight] for value, weight in zip(values, size, strict=True)])
    return Sums(SCENES[: len(values)], table, ids, len(values))


VALUES = [2.0, 2.5, 3.5, 3.0, 2.8, 3.1, 3.3, 2.2]


def held(count: int, seeds: int, scenes: int, seed_sd: float) -> float:
    rng = np.random.default_rng(7)
    intervals = [interval(settings(rng, 1, seeds, scenes, seed_sd)[0], NLL) for _ in range(count)]
    known = [found for found in intervals if found is not None]  # a scene may outweigh the others
    assert len(known) > 0.95 * count
    return sum(found.low <= TRUTH <= found.high for found in known) / len(known)


@pytest.mark.slow
@pytest.mark.parametrize("scenes", [8, 12, 40])
@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (2, 0.03), (3, 0.05), (5, 0.1)])
def test_intervals_hold_the_truth_of_another_evaluation_and_another_seed(
    scenes: int, seeds: int, seed_sd: float
) -> None:
    # 0.93–0.97, and two standard errors of the simulation (0.005) on either side
    assert 0.92 <= held(2000, seeds, scenes, seed_sd) <= 0.98


def test_intervals_from_few_scenes_hold_the_truth() -> None:
    assert 0.92 <= held(600, 3, 10, 0.05) <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (3, 0.03), (5, 0.05)])
def test_intervals_of_differences_hold_the_truth(seeds: int, seed_sd: float) -> None:
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(2000):
        first, second = settings(rng, 2, seeds, 12, seed_sd)
        found = difference(first, second).interval
        if found is not None:
            inside.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(inside) <= 0.98


def test_one_seed_is_the_t_interval_of_scenes_of_equal_weight() -> None:
    from scipy import stats

    found = interval(estimate([sums(VALUES)], NLL), NLL)
    expected = stats.t.interval(0.95, len(VALUES) - 1, np.mean(VALUES), stats.sem(VALUES))
    assert found is not None and (found.low, found.high) == pytest.approx(expected)


def test_equal_seeds_say_no_more_than_one_and_differing_ones_widen_the_interval() -> None:
    one = interval(estimate([sums(VALUES)], NLL), NLL)
    same = interval(estimate([sums(VALUES)] * 3, NLL), NLL)
    apart = interval(estimate([sums([v + shift for v in VALUES]) for shift in (-0.5, 0.0, 0.5)], NLL), NLL)
    assert one is not None and same is not None and apart is not None
    assert (same.low, same.high) == pytest.approx((one.low, one.high))
    assert apart.high - apart.low > 1.3 * (one.high - one.low)


def test_a_paired_difference_is_the_paired_t_test() -> None:
    from scipy import stats

    other = [v + 0.1 + 0.05 * math.sin(7 * n) for n, v in enumerate(VALUES)]
    found = difference(estimate([sums(other)], NLL), estimate([sums(VALUES)], NLL))
    expected = stats.ttest_rel(other, VALUES)
    assert found.value == pytest.approx(np.mean(other) - np.mean(VALUES)) and found.p == pytest.approx(expected.pvalue)
    assert found.interval is not None and found.interval.low > 0, "scenes differ far more than the settings do"
    assert found.d == pytest.approx(expected.statistic / math.sqrt(len(VALUES)))


def test_a_share_is_the_same_whatever_the_unit() -> None:
    first, second = estimate([sums([2 * v for v in VALUES])], NLL), estimate([sums(VALUES)], NLL)
    scaled = estimate([sums([20 * v for v in VALUES])], NLL), estimate([sums([10 * v for v in VALUES])], NLL)
    one, other = relative(first, second), relative(*scaled)
    assert one is not None and other is not None
    assert one.value == pytest.approx(1.0) and other.value == pytest.approx(1.0)


def test_perplexity_has_the_interval_of_its_logarithm() -> None:
    ppl = of("completion_ppl")
    found, nll = interval(estimate([sums(VALUES)], ppl), ppl), interval(estimate([sums(VALUES)], NLL), NLL)
    assert found is not None and nll is not None
    assert math.log(found.low) == pytest.approx(nll.low, rel=0.05)
    assert math.log(found.high) == pytest.approx(nll.high, rel=0.05)


def test_the_same_values_differ_by_nothing() -> None:
    found = difference(estimate([sums(VALUES)], NLL), estimate([sums(VALUES)], NLL))
    assert (found.value, found.p) == (0.0, 1.0)


def test_a_constant_gap_in_all_scenes_is_certain_and_has_no_standardized_effect() -> None:
    found = difference(estimate([sums([v + 1 for v in VALUES])], NLL), estimate([sums(VALUES)], NLL))
    assert found.p is not None and found.p < 1e-6 and found.d is None


def test_other_items_refuse_to_be_paired() -> None:
    one, other = estimate([sums(VALUES)], NLL), estimate([sums(VALUES, ids=1)], NLL)
    with pytest.raises(ItemsDiffer, match="same items"):
        difference(one, other)
    with pytest.raises(ItemsDiffer, match="its seeds"):
        estimate([sums(VALUES), sums(VALUES, ids=1)], NLL)


def trusted(values: list[float], weights: list[float] | None = None) -> Estimate:
    return estimate([sums(values, weights)], NLL)


def test_few_scenes_or_one_that_outweighs_the_rest_give_no_interval_and_no_test() -> None:
    few, heavy = trusted(VALUES[: MIN_CLUSTERS - 1]), trusted(VALUES, [1000.0, *[1.0] * 7])
    for found in (few, heavy):
        assert interval(found, NLL) is None
        assert difference(found, found).p is None and difference(found, found).interval is None
    assert interval(trusted(VALUES[:MIN_CLUSTERS]), NLL) is not None


def shares(values: np.ndarray, sizes: np.ndarray) -> Sums:
    counts = np.stack([values, sizes], axis=1).astype(float)
    return Sums(tuple(f"{n:04d}" for n in range(len(values))), counts, 0, int(sizes.sum()))


def test_no_hit_in_many_items_does_not_show_that_there_are_none() -> None:
    rouge = of("rougeL")
    found = interval(estimate([shares(np.zeros(1319), np.ones(1319))], rouge), rouge)
    assert (
        found is not None and found.low == 0 and found.high == pytest.approx(1.9617**2 / (1319 + 1.9617**2), rel=1e-3)
    )
    found = interval(estimate([shares(np.ones(20), np.ones(20))], rouge), rouge)
    assert found is not None and found.high == 1 and 0.75 < found.low < 0.9


def test_a_share_has_wilsons_interval_at_the_design_effect() -> None:
    rng = np.random.default_rng(2)
    sizes, rouge = rng.integers(1, 6, 30), of("rougeL")
    found = estimate([shares(rng.binomial(sizes, 0.1), sizes)], rouge)
    p, n = found.value, found.value * (1 - found.value) / found.variance
    z = float(half_width(0.05, found.df))
    ends = interval(found, rouge)
    assert ends is not None
    for end in (ends.low, ends.high):  # Wilson's ends solve (p − π)² = z² π (1 − π) / n
        assert (p - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / n)


@pytest.mark.parametrize("chance", [0.02, 0.2])
def test_intervals_of_rare_hits_hold_the_truth_as_often_as_they_say(chance: float) -> None:
    rng, rouge, held = np.random.default_rng(4), of("rougeL"), 0
    for _ in range(200):
        sizes = rng.integers(1, 6, 20)
        found = interval(estimate([shares(rng.binomial(sizes, chance), sizes)], rouge), rouge)
        held += found is None or found.low <= chance <= found.high
    assert held >= 200 * 0.95 - 2.7 * math.sqrt(200 * 0.95 * 0.05)
