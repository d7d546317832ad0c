"""Spreads and Holm's correction equal the textbook's; Student's t is that of `scipy.stats`."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics.spread import holm, spread
from analysis.statistics.student import half_width, two_sided_p

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


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holms_corrected_p_reject_what_his_steps_reject(values: list[float | None]) -> None:
    corrected = holm(values)
    assert [p is None for p in corrected] == [p is None for p in values]
    order = sorted((p, place) for place, p in enumerate(values) if p is not None)
    rejected = set()
    for done, (p, place) in enumerate(order):
        if p * (len(order) - done) > 0.05:
            break
        rejected.add(place)
    assert rejected == {place for place, p in enumerate(corrected) if p is not None and p <= 0.05}


@pytest.mark.parametrize("df", [1, 1.3, 2, 4.7, 29.9, 200, 1000])
def test_students_t_is_scipys_distribution(df: float) -> None:
    t = np.array([0, 1e-6, 0.3, 1, 2.5, 12, 400, 1e9, np.inf])
    assert two_sided_p(t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-9)
    assert two_sided_p(-t, df) == pytest.approx(two_sided_p(t, df))
    for p in (0.2, 0.05, 1e-9):
        assert float(half_width(p, df)) == pytest.approx(stats.t.isf(p / 2, df), rel=1e-7)


def test_fewer_than_one_degree_of_freedom_counts_as_one() -> None:
    assert float(half_width(0.05, 0.2)) == pytest.approx(float(half_width(0.05, 1.0)))
    assert float(two_sided_p(2.0, 0.2)) == pytest.approx(float(two_sided_p(2.0, 1.0)))
