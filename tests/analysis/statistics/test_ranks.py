"""Ranks that can't be excluded: right as often as they say, and the same as pairwise tests with Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics import ranks
from analysis.statistics.differences import difference
from analysis.statistics.estimates import Estimate
from analysis.statistics.ranks import rank
from benchmarks.certainty import drawn as settings


def shifted(found: Estimate, by: float) -> Estimate:
    return Estimate(
        found.value + by, found.pseudo + by, found.weights, found.clusters, found.ids, found.items, found.seeds
    )


def in_order(rows: list[Estimate]) -> list[Estimate]:
    return sorted(rows, key=lambda row: row.value)


def wrongly_told(repetitions: int, seeds: int, seed_sd: float, scenes: int = 12) -> float:
    """Return how often any of six equal settings is said to be better than another."""
    rng = np.random.default_rng(11)
    wrong = 0
    for _ in range(repetitions):
        found = rank(in_order(settings(rng, 6, seeds, scenes, seed_sd)), 0, maximize=False)
        wrong += any(best > 1 for best in found.best) or any(worst < 6 for worst in found.worst)
    return wrong / repetitions


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (2, 0.05), (3, 0.03), (5, 0.05)])
def test_under_no_difference_all_are_tied_in_95_of_100_tables(seeds: int, seed_sd: float) -> None:
    assert wrongly_told(1000, seeds, seed_sd) <= 0.05 + 2 * 0.007  # two standard errors of the simulation


def test_under_no_difference_few_tables_tell_one() -> None:
    assert wrongly_told(150, 3, 0.05) <= 0.05 + 2 * 0.018


def test_ranges_hold_the_true_ranks_and_narrow_where_differences_are_large() -> None:
    rng = np.random.default_rng(5)
    wrong, narrow = 0, 0
    for _ in range(100):
        drawn = [shifted(row, 0.5 * place) for place, row in enumerate(settings(rng, 5, 3, 20, 0.03))]
        found = rank(drawn, int(np.argmin([row.value for row in drawn])), maximize=False)
        wrong += any(
            not low <= n + 1 <= high for n, (low, high) in enumerate(zip(found.best, found.worst, strict=True))
        )
        narrow += found.best[4] >= 4
    assert wrong <= 10 and narrow >= 90


def test_they_are_pairwise_differences_with_holms_steps() -> None:
    rng = np.random.default_rng(2)
    rows = in_order([shifted(row, 0.12 * place) for place, row in enumerate(settings(rng, 6, 2, 15, 0.02))])
    found = rank(rows, 0, maximize=False)
    pairs = sorted((difference(a, b).p or 0.0, i, j) for i, a in enumerate(rows) for j, b in enumerate(rows) if i < j)
    above, below = [0] * 6, [0] * 6
    for done, (p, better, worse) in enumerate(pairs):
        if p / 2 * (2 * len(pairs) - done) > 0.05:
            break
        above[worse] += 1
        below[better] += 1
    assert found.best == [1 + n for n in above] and found.worst == [6 - n for n in below]
    assert any(above), "some differences are shown"
    assert found.p[1:] == pytest.approx([difference(row, rows[0]).p for row in rows[1:]])


@pytest.mark.parametrize("seeds", [1, 2])
def test_many_rows_get_the_first_step_alone(seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    rows = in_order([shifted(row, 0.1 * place) for place, row in enumerate(settings(rng, 30, seeds, 15, 0.02))])
    stepwise = rank(rows, 0, maximize=False)
    monkeypatch.setattr(ranks, "MOST_STEPWISE", 10)
    monkeypatch.setattr(ranks, "_BLOCK", 7)
    single = rank(rows, 0, maximize=False)
    assert stepwise.stepwise and not single.stepwise
    least = 0.05 / (30 * 29 / 2)
    sure = [[(difference(a, b).p or 0) <= least for b in rows] for a in rows]
    above = [sum(sure[i][j] for j in range(i)) for i in range(30)]
    assert all(found <= 1 + n for found, n in zip(single.best, above, strict=True)), "it rounds to the safe side"
    assert sum(single.best) >= 0.9 * sum(1 + n for n in above)
    assert all(one <= many for one, many in zip(single.best, stepwise.best, strict=True))
    assert all(one >= many for one, many in zip(single.worst, stepwise.worst, strict=True))


def test_more_is_better_turns_the_order_round() -> None:
    rng = np.random.default_rng(6)
    rows = in_order([shifted(row, float(place)) for place, row in enumerate(settings(rng, 4, 1, 12, 0.0))])
    assert rank(rows, 0, maximize=False).best == [1, 2, 3, 4]
    assert rank(rows[::-1], 0, maximize=True).best == [1, 2, 3, 4]


def test_rows_that_cannot_be_tested_may_have_any_rank_and_widen_the_others() -> None:
    rng = np.random.default_rng(6)
    rows: list[Estimate | None] = [shifted(row, float(place)) for place, row in enumerate(settings(rng, 3, 1, 12, 0.0))]
    found = rank([*rows, None], 0, maximize=False)
    assert found.best == [1, 2, 3, 1] and found.worst == [2, 3, 4, 4] and found.corrected[3] is None
    assert rank([None, rows[0]], 0, maximize=False).worst == [2, 2]
