"""Which ranks of a published board could be noise: against brute force, and on simulations with known truth."""

from __future__ import annotations

import json
import math
from itertools import permutations
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.published.boards import board
from analysis.published.noise import NoiseScenario, better_pairs, rank_ranges, sd_to_tell_apart, sections
from benchmarks.rounds import ROOT
from persona_sweeps.errors import UserError

NINE = [0.345, 0.328, 0.321, 0.320, 0.316, 0.296, 0.295, 0.289, 0.256]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=7), st.floats(0.001, 0.5))
def test_pairs_are_those_of_holm_step_by_step(values: list[float], error: float) -> None:
    p = {(i, j): NormalDist().cdf((values[j] - values[i]) / error) for i, j in permutations(range(len(values)), 2)}
    found = set()
    for done, pair in enumerate(sorted(p, key=lambda pair: p[pair])):
        if p[pair] * (len(p) - done) > 0.05:
            break
        found.add(pair)
    assert better_pairs(values, error) == found


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.floats(0.001, 0.5))
def test_a_row_s_own_rank_is_among_its_ranks(values: list[float], error: float) -> None:
    for place, (low, high) in enumerate(rank_ranges(len(values), better_pairs(values, error))):
        better = sum(value > values[place] for value in values)
        same = sum(value == values[place] for value in values)
        assert 1 <= low <= better + 1 <= better + same <= high <= len(values)


def test_without_noise_ranks_are_certain_and_with_much_nothing_is() -> None:
    assert rank_ranges(9, better_pairs(NINE, 1e-6)) == [(rank, rank) for rank in range(1, 10)]
    assert rank_ranges(9, better_pairs(NINE, 10)) == [(1, 9)] * 9


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_with_equal_models_a_false_difference_is_told_in_at_most_5_percent_of_boards(correlation: float) -> None:
    """2000 boards of nine equal models on 62 items: 5 % with a standard error of 0.5 %."""
    rng, n, repeats, sd = np.random.default_rng(0), 62, 2000, 0.12
    shared = rng.normal(0, math.sqrt(correlation), (repeats, 1, n))
    own = rng.normal(0, math.sqrt(1 - correlation), (repeats, 9, n))
    means = (0.3 + sd * (shared + own)).mean(axis=2)
    error = NoiseScenario(sd, correlation).error(n)
    spread = means.max(axis=1) - means.min(axis=1)
    likely = [row for row, width in zip(means.tolist(), spread, strict=True) if width > 2 * error]  # others can't
    wrong = sum(bool(better_pairs(row, error)) for row in likely)
    assert wrong / repeats <= 0.05 + 3 * 0.005
    assert wrong / repeats >= 0.01


def test_rank_ranges_hold_all_true_ranks_in_95_percent_of_boards() -> None:
    """500 boards whose true means are those that were printed."""
    rng, n, repeats, scenario = np.random.default_rng(1), 62, 500, NoiseScenario(0.1, 0.4)
    shared = rng.normal(0, math.sqrt(0.4), (repeats, 1, n))
    own = rng.normal(0, math.sqrt(0.6), (repeats, 9, n))
    means = np.array(NINE) + (0.1 * (shared + own)).mean(axis=2)
    held, width = 0, 0
    for row in means.tolist():
        ranges = rank_ranges(9, better_pairs(row, scenario.error(n)))
        held += all(low <= rank <= high for rank, (low, high) in enumerate(ranges, start=1))
        width += sum(high - low for low, high in ranges)
    assert held / repeats >= 0.95 - 3 * 0.01
    assert width / repeats / 9 < 8


def test_two_rows_that_differ_by_just_enough_are_told_apart_alone() -> None:
    for correlation in (0.0, 0.3, 0.7):
        sd = sd_to_tell_apart(0.017, 62, correlation)
        z = 0.017 / NoiseScenario(sd, correlation).error(62)
        assert 2 * NormalDist().cdf(-z) == pytest.approx(0.05)


def test_the_board_says_which_of_its_ranks_could_be_noise() -> None:
    ranks, neighbours = sections(board("documentary_personas"))
    assert ranks.columns is not None
    headings = [column.heading for column in ranks.columns]
    assert headings[3] == "SD 0.08, ρ 0.7" and headings[-1] == "SD 0.15, ρ 0" and len(headings) == 9
    kindest = {row[1]: row[3] for row in ranks.rows}
    assert kindest["Qwen2.5 14B Instruct"] == "9"
    assert kindest["Llama 3.1 8B Instruct"] == "1–3"
    hardest = {row[1]: row[-1] for row in ranks.rows}
    assert hardest["Llama 3.1 8B Instruct"] == "1–8" and hardest["Mistral 7B"] == "1–9"
    words = " ".join(ranks.notes)
    assert "assumed" in words and "ρ of −0.11 to 0.82 (benchmarks/results/item_noise.json)" in words
    assert [row[0] for row in neighbours.rows] == [f"{rank} and {rank + 1}" for rank in range(1, 9)]


def test_an_sd_of_one_s_own_takes_the_place_of_those_assumed() -> None:
    ranks, _ = sections(board("documentary_personas"), sd=0.12)
    assert ranks.columns is not None
    assert [column.heading for column in ranks.columns][3:] == ["SD 0.12, ρ 0.7", "SD 0.12, ρ 0"]
    assert "asked for" in ranks.notes[0] and "are assumed" not in ranks.notes[0]


def test_ranges_only_widen_with_a_larger_sd() -> None:
    before = [(rank, rank) for rank in range(1, 10)]
    for sd in (0.02, 0.05, 0.1, 0.2, 0.5):
        now = rank_ranges(9, better_pairs(NINE, NoiseScenario(sd, 0).error(62)))
        assert all(a <= c and d <= b for (c, d), (a, b) in zip(before, now, strict=True))
        before = now


@pytest.mark.parametrize("sd", [0, -0.1, 0.51, math.nan, math.inf])
def test_an_sd_that_no_score_has_is_refused(sd: float) -> None:
    with pytest.raises(UserError, match="--sd is"):
        sections(board("documentary_personas"), sd)


def test_nothing_is_told_of_a_board_whose_items_were_not_counted() -> None:
    assert sections(board("chandler")) == []
    with pytest.raises(UserError, match="--sd has nothing to say of chandler"):
        sections(board("chandler"), 0.12)


def test_what_is_assumed_is_what_rows_of_ours_have() -> None:
    kept = json.loads((ROOT / "benchmarks" / "results" / "item_noise.json").read_text())
    sds = [row["sd"] for row in kept["rows"]]
    assert (len(sds), {row["items"] for row in kept["rows"]}) == (11, {24})
    assert (round(min(sds), 2), round(max(sds), 2)) == (0.08, 0.10)
    assert (round(min(kept["correlations"]), 2), round(max(kept["correlations"]), 2)) == (-0.11, 0.82)
