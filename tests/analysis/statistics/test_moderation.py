"""Variances between seeds, squeezed towards those of a section: the formulas, and what they are for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import digamma, polygamma

from analysis.statistics.differences import difference
from analysis.statistics.estimates import Estimate
from analysis.statistics.moderation import moderated, prior
from benchmarks.certainty import Cell, drawn, simulate


def rows(count: int, seeds: int, sd: float = 0.1, seed: int = 0, noisier: float = 1.0) -> list[Estimate]:
    return drawn(np.random.default_rng(seed), count, seeds, 20, sd, noisier=noisier)


def test_the_prior_is_smyths_by_the_moments_of_log_variances_but_for_its_bound() -> None:
    found = rows(12, 3, noisier=40.0, seed=3)
    log = np.log([row.between_seeds for row in found]) - digamma(1.0) + np.log(1.0)
    spread = log.var(ddof=1) - polygamma(1, 1.0)
    assert spread > 0
    fitted = prior(found)
    assert fitted is not None and fitted.df <= 5.5
    if fitted.df < 5.5:
        assert float(polygamma(1, fitted.df / 2)) == pytest.approx(float(spread))
    half = _inverse_trigamma_by_bisection(float(spread))
    assert fitted.variance == pytest.approx(math.exp(float(log.mean()) + float(digamma(half)) - math.log(half)))


def _inverse_trigamma_by_bisection(value: float) -> float:
    low, high = 1e-6, 1e6
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if float(polygamma(1, middle)) > value else (low, middle)
    return low


def test_rows_of_one_variance_are_squeezed_most_and_a_larger_one_is_kept() -> None:
    found = rows(12, 2)
    fitted = prior(found)
    assert fitted is not None
    for before, after in zip(found, moderated(found), strict=True):
        assert after is not None and after.moderated is not None
        variance, df = after.moderated
        assert df == pytest.approx(1 + fitted.df)
        mixed = (fitted.df * fitted.variance + before.between_seeds) / (fitted.df + 1)
        assert variance == pytest.approx(max(before.between_seeds, mixed))
        assert after.value == before.value and after.cluster_variance == before.cluster_variance


def test_two_seeds_that_happen_to_agree_do_not_make_a_row_certain() -> None:
    found = rows(8, 2, sd=0.3, seed=1)
    agreeing = min(range(8), key=lambda place: found[place].between_seeds)
    other = (agreeing + 1) % 8
    before = difference(found[agreeing], found[other]).interval
    after = moderated(found)
    assert after[agreeing] is not None and after[other] is not None
    assert after[agreeing].seed_variance > 2 * found[agreeing].seed_variance
    assert (
        before is not None
        and difference(after[agreeing], after[other]).df > difference(found[agreeing], found[other]).df
    )


def test_a_row_with_one_seed_or_a_lone_row_with_several_stays_as_it_is() -> None:
    single, several = rows(2, 1), rows(1, 3)
    assert moderated([*single, *several]) == [*single, *several]
    assert moderated([None, *single]) == [None, *single]


def test_scale_does_not_matter_to_how_much_is_squeezed() -> None:
    found = rows(6, 3)
    scaled = [Estimate(10 * r.value, 10 * r.pseudo, r.weights, r.clusters, r.ids, r.items, r.seeds) for r in found]
    for one, ten in zip(moderated(found), moderated(scaled), strict=True):
        assert one is not None and ten is not None and one.moderated is not None and ten.moderated is not None
        assert ten.moderated == pytest.approx((100 * one.moderated[0], one.moderated[1]))


@pytest.mark.parametrize("seeds", [2, 3])
def test_with_many_rows_far_fewer_tables_say_what_is_not_so(seeds: int) -> None:
    found = simulate(Cell(rows=24, scenes=60, seeds=seeds, sd=0.1, noisier=1.0), 60)
    assert found["moderated"]["false"] <= 0.05 + 2.7 * math.sqrt(0.05 * 0.95 / 60)
    assert found["moderated"]["coverage"] >= 0.92
    if seeds == 2:
        assert found["alone"]["false"] > 2 * found["moderated"]["false"], "the simulation can tell"
