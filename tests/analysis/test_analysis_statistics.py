"""Spreads equal the textbook's, and the bootstrap interval covers the truth about as often as it says."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics import MIN_CLUSTERS, Interval, Item, perplexity_interval, spread, token_nll

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=2, max_size=8))
def test_spread_is_mean_and_sample_deviation(values: list[float]) -> None:
    found = spread(values)
    assert found is not None and found.n == len(values)
    assert found.mean == pytest.approx(statistics.fmean(values), abs=1e-6)
    assert found.sd == pytest.approx(statistics.stdev(values), abs=1e-6)


def test_one_value_has_no_deviation_and_none_has_no_mean() -> None:
    single = spread([3.0])
    assert single is not None and single.sd is None
    assert spread([]) is None


def synthetic(rng: np.random.Generator, clusters: int) -> list[Item]:
    """Items whose true mean NLL is 3, with a shared effect in each cluster."""
    items = []
    for cluster in range(clusters):
        shared = rng.normal(0, 0.4)
        for _ in range(rng.integers(1, 9)):
            items.append(Item(str(cluster), 3 + shared + rng.normal(0, 0.8), int(rng.integers(5, 40))))
    return items


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(300):
        interval = perplexity_interval([synthetic(rng, 40)])
        assert interval is not None
        covered += interval.low <= math.exp(3) <= interval.high
    # 0.95 less what a percentile interval loses at 40 clusters; the standard error of 300 trials is 0.013.
    assert 0.90 <= covered / 300 <= 0.98


def test_clusters_widen_the_interval_beyond_that_of_single_items() -> None:
    rng = np.random.default_rng(2)
    items = [Item(str(n // 10), 3 + (n // 10 % 5) / 5 + rng.normal(0, 0.1), 10) for n in range(400)]
    apart = [Item(str(n), item.nll, item.tokens) for n, item in enumerate(items)]
    together, separate = perplexity_interval([items]), perplexity_interval([apart])
    assert together is not None and separate is not None
    assert together.high - together.low > 2 * (separate.high - separate.low)


def test_an_interval_is_the_same_each_time_whatever_the_order_of_the_items() -> None:
    items = synthetic(np.random.default_rng(0), 12)
    interval = perplexity_interval([items])
    assert interval is not None
    for other in (perplexity_interval([items]), perplexity_interval([items[::-1]])):
        assert other is not None
        assert (other.low, other.high) == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert interval.low < math.exp(token_nll(items)) < interval.high


def test_two_equal_seeds_give_the_interval_of_one() -> None:
    items = synthetic(np.random.default_rng(3), 12)
    assert perplexity_interval([items, items]) == perplexity_interval([items])


def test_certain_items_give_an_interval_of_no_width() -> None:
    items = [Item(str(n), math.log(8), 1 + n) for n in range(MIN_CLUSTERS)]
    interval = perplexity_interval([items])
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((8, 8))


def test_few_clusters_or_unlike_seeds_give_no_interval() -> None:
    items = [Item(str(n), 1.0, 5) for n in range(MIN_CLUSTERS)]
    assert isinstance(perplexity_interval([items]), Interval)
    assert perplexity_interval([items[1:]]) is None
    assert perplexity_interval([items, [*items[1:], Item("other", 1.0, 5)]]) is None
