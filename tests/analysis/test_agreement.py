"""Agreement and strengths against published examples, brute force and simulations with known truth."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.rating.agreement import cohen_kappa, krippendorff_alpha
from analysis.rating.bradley_terry import Meeting, fit
from analysis.rating.shares import MIN_CLUSTERS, mean, share

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


def test_few_scenes_give_no_interval() -> None:
    clusters = [f"s{n}" for n in range(MIN_CLUSTERS - 1)]
    assert share([1.0] * len(clusters), clusters).low is None and mean([1.0] * len(clusters), clusters).low is None


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=MIN_CLUSTERS, max_size=30))
def test_a_shares_interval_holds_it_within_bounds_and_never_vanishes(values: list[float]) -> None:
    found = share(values, [str(n) for n in range(len(values))])
    assert found.low is not None and found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1 and found.low < found.high


@pytest.mark.slow
@pytest.mark.parametrize(("scenes", "odds"), [(8, 0.0), (12, 1.0), (40, 2.0)])
def test_intervals_of_win_rates_cover_the_truth(scenes: int, odds: float) -> None:
    """1–5 items a scene, a fifth of them ties; the log odds vary between scenes with sd 0.7."""
    import numpy as np

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
