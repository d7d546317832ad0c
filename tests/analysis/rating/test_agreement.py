"""Agreement and strengths against published examples, brute force and simulations with known truth."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.rating.agreement import cohen_kappa, krippendorff_alpha
from analysis.rating.bradley_terry import Meeting, fit
from analysis.rating.shares import mean, share
from analysis.statistics.spread import MIN_CLUSTERS

# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C: four observers, twelve units.
OBSERVERS = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


def units_of(observers: tuple[str, ...]) -> list[list[float]]:
    return [[float(value) for value in unit if value != "."] for unit in zip(*observers, strict=True)]


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_that_of_krippendorffs_example(level: str, alpha: float) -> None:
    found = krippendorff_alpha(units_of(OBSERVERS), level)
    assert found is not None and round(found, 3) == alpha


def test_alpha_is_that_of_krippendorffs_examples_of_two_observers() -> None:
    binary = krippendorff_alpha(units_of(("0100000010", "1110010000")), "nominal")
    letters = [("aabbdcccedda"), ("babbbccceddd")]
    nominal = krippendorff_alpha([[float(ord(a)), float(ord(b))] for a, b in zip(*letters, strict=True)], "nominal")
    assert binary is not None and round(binary, 3) == 0.095
    assert nominal is not None and round(nominal, 3) == 0.692


@given(st.lists(st.lists(st.sampled_from([1.0, 2.0, 3.0]), max_size=4), max_size=8))
def test_interval_alpha_agrees_with_its_definition_over_pairs(units: list[list[float]]) -> None:
    found = krippendorff_alpha(units, "interval")
    used = [unit for unit in units if len(unit) > 1]
    values = [value for unit in used for value in unit]
    pairs = [(a - b) ** 2 for a, b in itertools.permutations(values, 2)]
    if not pairs or not sum(pairs):
        assert found is None
        return
    within = sum(sum((a - b) ** 2 for a, b in itertools.permutations(u, 2)) / (len(u) - 1) for u in used) / len(values)
    assert found == pytest.approx(1 - within / (sum(pairs) / len(pairs)))


def test_kappa_is_that_of_a_textbook_table() -> None:
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)
    assert cohen_kappa([("y", "y")]) is None and cohen_kappa([]) is None


def test_strengths_of_two_are_the_log_odds_of_their_meetings() -> None:
    met = [Meeting("a", "b", float(n < 15), f"s{n}") for n in range(20)]
    found = fit(met)
    assert found is not None and not found.penalized
    assert found.strengths["a"].value - found.strengths["b"].value == pytest.approx(math.log(15 / 5))


def test_strengths_do_not_hang_on_sides_or_order() -> None:
    draw = random.Random(1)
    met = [Meeting(*draw.sample("abc", 2), draw.choice([0.0, 0.5, 1.0]), f"s{n % 7}") for n in range(60)]
    turned = [Meeting(m.other, m.one, 1 - m.won, m.cluster) for m in reversed(met)]
    one, other = fit(met), fit(turned)
    assert one is not None and other is not None
    for name, strength in one.strengths.items():
        assert strength.value == pytest.approx(other.strengths[name].value)
        assert strength.low == pytest.approx(other.strengths[name].low)
    assert sum(strength.value for strength in one.strengths.values()) == pytest.approx(0)


def test_a_run_that_wins_all_gets_a_finite_strength_and_says_so() -> None:
    met = [Meeting("best", other, 1.0, f"s{n}") for n in range(12) for other in ("a", "b")]
    met += [Meeting("a", "b", float(n % 2), f"s{n}") for n in range(12)]
    found = fit(met)
    assert found is not None and found.penalized
    best = found.strengths["best"]
    assert best.low is not None and best.high is not None
    assert 0 < best.low < best.value < best.high < 20
    # Firth's estimate of a proportion that was always won is (n + 1/2) / (n + 1).
    of_two = fit([Meeting("a", "b", 1.0, f"s{n}") for n in range(9)])
    assert of_two is not None
    assert of_two.strengths["a"].value - of_two.strengths["b"].value == pytest.approx(math.log(9.5 / 0.5))


def test_runs_that_never_met_have_no_strengths() -> None:
    assert fit([Meeting("a", "b", 1.0, "s"), Meeting("c", "d", 0.0, "s")]) is None
    assert fit([]) is None


def test_few_scenes_or_one_that_outweighs_the_rest_give_no_interval() -> None:
    few = [f"s{n}" for n in range(MIN_CLUSTERS - 1)]
    heavy = [*few, *["long"] * 20]
    for clusters in (few, heavy):
        values = [1.0 + n % 2 for n in range(len(clusters))]
        assert mean(values, clusters, (1, 5)).low is None and share([v - 1 for v in values], clusters).low is None


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 9)), min_size=12, max_size=40),
    st.floats(0.1, 10),
    st.floats(-5, 5),
)
def test_a_means_interval_follows_the_scale_and_stays_on_it(drawn: list[Any], size: float, shift: float) -> None:
    values, clusters = [float(value) for value, _ in drawn], [str(cluster) for _, cluster in drawn]
    one = mean(values, clusters, (1, 5))
    other = mean([size * value + shift for value in values], clusters, (size + shift, 5 * size + shift))
    assert one.value == pytest.approx(sum(values) / len(values))
    assert (one.low is None) == (other.low is None)
    if one.low is not None and one.high is not None:
        assert 1 <= one.low <= one.value + 1e-9 and one.value - 1e-9 <= one.high <= 5 and one.low < one.high
        assert other.low == pytest.approx(size * one.low + shift) and other.high == pytest.approx(
            size * one.high + shift
        )


def means_that_held(repetitions: int, scenes: int, centre: float, between: float) -> float:
    """Return how often the mean's interval held the truth: 1–5 answers a scene, normal, rounded to 1–5."""
    rng = np.random.default_rng(scenes)
    spread = math.hypot(between, 0.8)
    steps = [1.5, 2.5, 3.5, 4.5]
    truth = 1 + sum(0.5 * math.erfc((step - centre) / spread / math.sqrt(2)) for step in steps)
    held, known = 0, 0
    for _ in range(repetitions):
        cluster = np.repeat(np.arange(scenes), rng.integers(1, 6, scenes))
        felt = centre + rng.normal(0, between, scenes)[cluster] + rng.normal(0, 0.8, len(cluster))
        answers = 1.0 + sum(felt > step for step in steps)
        found = mean(answers.tolist(), [str(c) for c in cluster], (1, 5))
        if found.low is not None and found.high is not None:  # a scene may outweigh the others
            known += 1
            held += found.low <= truth <= found.high
    assert known > 0.95 * repetitions
    return held / known


def test_a_mean_of_few_scenes_holds_the_truth() -> None:
    assert 0.92 <= means_that_held(500, 8, 3.2, 0.4) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("scenes", [6, 8, 12, 20, 40])
@pytest.mark.parametrize("centre", [2.5, 3.2, 4.2, 4.8])
@pytest.mark.parametrize("between", [0.4, 0.9])
def test_intervals_of_means_hold_the_truth(scenes: int, centre: float, between: float) -> None:
    # 0.93–0.97, and two standard errors of the simulation (0.006) on either side
    held = means_that_held(1500, scenes, centre, between)
    print(f"{scenes} scenes, centre {centre}, sd between {between}: {held:.3f}")
    assert 0.92 <= held <= 0.98


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=MIN_CLUSTERS, max_size=30))
def test_a_shares_interval_holds_it_within_bounds_and_never_vanishes(values: list[float]) -> None:
    found = share(values, [str(n) for n in range(len(values))])
    assert found.low is not None and found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1 and found.low < found.high


@pytest.mark.slow
@pytest.mark.parametrize(("scenes", "odds"), [(8, 0.0), (12, 1.0), (40, 2.0)])
def test_intervals_of_win_rates_cover_the_truth(scenes: int, odds: float) -> None:
    """1–5 items a scene, a fifth of them ties; the log odds vary between scenes with sd 0.7."""
    rng = np.random.default_rng(scenes)
    truth = 0.1 + 0.8 * float(np.mean(1 / (1 + np.exp(-rng.normal(odds, 0.7, 200_000)))))
    held = 0
    for _ in range(1000):
        cluster = np.repeat(np.arange(scenes), rng.integers(1, 6, scenes))
        won = rng.random(len(cluster)) < 1 / (1 + np.exp(-rng.normal(odds, 0.7, scenes)[cluster]))
        values = np.where(rng.random(len(cluster)) < 0.2, 0.5, won)
        found = share(values.tolist(), [str(c) for c in cluster])
        assert found.low is not None and found.high is not None
        held += found.low <= truth <= found.high
    assert 0.925 <= held / 1000 <= 0.975
