"""The best of k equals what all subsets give, its intervals cover the truth, and a target costs what draws cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from analysis.statistics.tuning import (
    MAX_SHARE,
    MIN_TRIALS,
    Spent,
    bands,
    best_weights,
    budgets,
    expected_best,
    expected_cost,
    real_cost,
    tokens_a_trial,
)

values = st.lists(st.floats(-100, 100), min_size=1, max_size=8)


@given(values, st.booleans())
def test_the_best_of_k_is_the_mean_over_all_subsets(found: list[float], maximize: bool) -> None:
    best = max if maximize else min
    ks = range(1, len(found) + 1)
    brute = [np.mean([best(subset) for subset in itertools.combinations(found, k)]) for k in ks]
    assert expected_best(found, ks, maximize) == pytest.approx(brute, abs=1e-9)


@given(values)
def test_the_best_of_one_is_the_mean_and_that_of_all_is_the_best(found: list[float]) -> None:
    first, last = expected_best(found, [1, len(found)])
    assert first == pytest.approx(np.mean(found), abs=1e-9) and last == min(found)
    assert expected_best(found, [len(found)], maximize=True)[0] == max(found)


@given(values)
def test_more_trials_are_never_expected_to_be_worse(found: list[float]) -> None:
    curve = expected_best(found, range(1, len(found) + 1))
    assert (np.diff(curve) <= 1e-9).all()
    assert -curve == pytest.approx(expected_best([-value for value in found], range(1, len(found) + 1), maximize=True))


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_weights_are_probabilities_however_many_trials(sizes: tuple[int, int]) -> None:
    n, k = sizes
    weights = best_weights(n, k)
    assert weights.shape == (n - k + 1,) and (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, rel=1e-10)
    place = int(np.argmax(weights))
    exact = math.exp(_log_binomial(n - place - 1, k - 1) - _log_binomial(n, k))
    assert weights[place] == pytest.approx(exact, rel=1e-7)


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


@given(st.integers(1, 100_000))
def test_budgets_begin_at_one_end_at_n_and_stay_few(n: int) -> None:
    ks = budgets(n)
    assert ks[0] == 1 and ks[-1] == n and ks == sorted(set(ks)) and len(ks) <= 60


Draw = Callable[[np.random.Generator, int], np.ndarray]


@pytest.mark.parametrize(
    ("draw", "quantile"),
    [
        (lambda rng, n: rng.normal(size=n), None),
        (lambda rng, n: rng.lognormal(size=n), None),
        (lambda rng, n: rng.uniform(size=n), lambda k: 1 / (k + 1)),
    ],
    ids=["normal", "lognormal", "uniform"],
)
@pytest.mark.parametrize("n", [MIN_TRIALS, 16])
def test_bands_cover_the_truth_as_often_as_they_say(
    draw: Draw, quantile: Callable[[int], float] | None, n: int
) -> None:
    rng = np.random.default_rng(7)
    ks = [1, 2, n // 2]
    truth = [quantile(k) if quantile else draw(rng, 60_000 // k * k).reshape(-1, k).min(axis=1).mean() for k in ks]
    repetitions, covered = 120, np.zeros(len(ks))
    for _ in range(repetitions):
        found = bands(draw(rng, n).tolist(), ks)
        covered += [band is not None and band.low <= t <= band.high for band, t in zip(found, truth, strict=True)]
    # At least 0.90 in the large simulation of the docstring; the standard error of 120 repetitions is 0.027.
    assert (covered / repetitions >= 0.83).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.booleans())
def test_bands_are_given_where_they_hold_and_nowhere_else(found: list[float], maximize: bool) -> None:
    ks = list(range(1, len(found) + 1))
    for k, band in zip(ks, bands(found, ks, maximize), strict=True):
        if len(found) < MIN_TRIALS or k > MAX_SHARE * len(found):
            assert band is None
        elif band is not None:
            assert math.isfinite(band.low) and band.low <= band.high


def test_bands_are_the_same_each_time_and_mirror_with_the_direction() -> None:
    found = np.random.default_rng(0).normal(size=16).tolist()
    down, again = bands(found, [1, 4]), bands(found[::-1], [1, 4])
    assert down == again and all(down)
    up = bands([-value for value in found], [1, 4], maximize=True)
    assert [(-band.high, -band.low) for band in up if band] == [(band.low, band.high) for band in down if band]


def test_equal_values_have_a_curve_and_no_band() -> None:
    assert expected_best([2.0] * 10, [1, 5]) == pytest.approx([2, 2])
    assert bands([2.0] * 10, [1, 5]) == [None, None]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(0, 4))
def test_the_expected_trials_to_a_target_are_those_of_all_orders(found: list[int], target: int) -> None:
    cost = expected_cost([Spent(value, 10.0) for value in found], target)
    if min(found) > target:
        assert cost is None
        return
    waits = [next(place for place, value in enumerate(order, start=1) if value <= target)
             for order in itertools.permutations(found)]  # fmt: skip
    assert cost is not None and cost.trials == pytest.approx(np.mean(waits))
    assert cost.tokens == pytest.approx(10 * np.mean(waits))


@given(values, st.data())
def test_costs_do_not_hang_on_the_direction(found: list[float], data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(found))
    spent = [Spent(value, 7.0) for value in found]
    mirrored = [Spent(-value, 7.0) for value in found]
    assert expected_cost(spent, target) == expected_cost(mirrored, -target, maximize=True)
    assert real_cost(spent, target) == real_cost(mirrored, -target, maximize=True)


def test_what_pruned_trials_took_is_shared_among_the_completed() -> None:
    spent = [Spent(3.0, 100), Spent(None, 40), Spent(2.0, 100), Spent(None, 20), Spent(1.0, 100)]
    assert tokens_a_trial(spent) == 120
    assert expected_cost(spent, 1.0) == expected_cost(spent[::-1], 1.0)
    assert expected_cost(spent, 1.0).tokens == 2 * 120  # type: ignore[union-attr]
    real = real_cost(spent, 2.0)
    assert real is not None and (real.trials, real.tokens) == (3, 240)


def test_unknown_tokens_make_no_cost_up() -> None:
    known, unknown = Spent(1.0, 50), Spent(2.0, None)
    assert tokens_a_trial([known, unknown, Spent(None, None)]) == 50
    assert tokens_a_trial([unknown]) is None and tokens_a_trial([]) is None
    cost, real = expected_cost([unknown], 2.0), real_cost([unknown], 2.0)
    assert cost is not None and real is not None and cost.tokens is None and real.tokens is None
    assert expected_cost([Spent(None, 5)], 9.0) is None and real_cost([known], 0.0) is None


@given(st.lists(st.floats(0, 1), min_size=MIN_TRIALS, max_size=24, unique=True), st.floats(0.1, 10), st.floats(-5, 5))
def test_a_band_follows_the_unit_of_the_metric(found: list[float], scale: float, shift: float) -> None:
    assume(min(abs(a - b) for a, b in itertools.combinations(found, 2)) > 1e-4)
    (plain,), (moved,) = bands(found, [2]), bands([scale * value + shift for value in found], [2])
    assert plain is not None and moved is not None
    assert moved.low == pytest.approx(scale * plain.low + shift, rel=1e-5, abs=1e-5)
    assert moved.high == pytest.approx(scale * plain.high + shift, rel=1e-5, abs=1e-5)
