"""Who is ended at a rung: the same whatever the order of reports, and by all that have come there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.study.pruners import JUDGES, RungResult, bracket, judge, rungs
from persona_sweeps.study.settings import PRUNERS, StudySettings

YAML = Path(__file__).parents[2] / "conf" / "hydra" / "sweeper" / "optuna.yaml"
USUAL = {key: value for key, value in yaml.safe_load(YAML.read_text()).items() if key != "_target_"}
SETTINGS = StudySettings.read({**USUAL, "pruner": "halving", "pruner_factor": 3, "pruner_rungs": 2})


def results(*values: float) -> list[RungResult]:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.05, 24)
    return [RungResult(number, nll, nll * 10 + noise) for number, nll in enumerate(values)]


@given(st.lists(st.floats(1, 9), min_size=1, max_size=24, unique=True), st.integers(2, 5))
def test_halving_keeps_the_best_in_factor_of_those_that_report_together(values: list[float], factor: int) -> None:
    settings = replace(SETTINGS, pruner_factor=factor)
    ended = judge(settings, results(*values), range(len(values)))
    kept = set(range(len(values))) - set(ended)
    best = sorted(range(len(values)), key=values.__getitem__)[: max(1, len(values) // factor)]
    assert kept == set(best)


def test_a_late_comer_is_compared_with_all_that_were_there_before() -> None:
    early = results(3.0, 3.1, 3.2, 3.3, 3.4, 3.5)
    assert judge(SETTINGS, [*early, replace(early[0], number=6, nll=3.05)], [6]) == {}
    assert (
        "3 of 7 runs were better, and 2 may go on"
        in judge(SETTINGS, [*early, replace(early[0], number=6, nll=3.25)], [6])[6]
    )


def test_rungs_are_shares_of_what_a_run_would_see() -> None:
    assert rungs(SETTINGS, 90, 0) == [10, 30] and rungs(SETTINGS, 96, 5) == [11, 32]
    assert rungs(replace(SETTINGS, pruner="none"), 90, 0) == []
    assert rungs(replace(SETTINGS, pruner_rungs=3, pruner_factor=2), 80, 0) == [10, 20, 40]


def test_hyperband_s_brackets_leave_out_rungs_and_compare_among_themselves() -> None:
    settings = replace(SETTINGS, pruner="hyperband")
    assert [rungs(settings, 90, number) for number in range(4)] == [[10, 30], [30], [], [10, 30]]
    values = results(5.0, 1.0, 1.1, 4.0)
    assert bracket(settings, 0) == bracket(settings, 3) != bracket(settings, 1)
    assert set(judge(settings, values, [0, 3])) == {0}, "trial 1 is better, and in another bracket"


def test_the_median_waits_for_peers_and_then_ends_the_worse_half() -> None:
    settings = replace(SETTINGS, pruner="median")
    assert judge(settings, results(1, 2, 3, 9), range(4)) == {}
    assert set(judge(settings, results(1, 2, 3, 4, 9), range(5))) == {3, 4}


def test_wilcoxon_ends_what_is_worse_item_by_item_and_spares_noise() -> None:
    settings = replace(SETTINGS, pruner="wilcoxon")
    best, worse = results(3.0, 3.2)
    assert set(judge(settings, [best, worse], [0, 1])) == {1}
    rng = np.random.default_rng(1)
    noisy = RungResult(2, 3.01, best.item_nll + rng.normal(0, 1, 24))
    assert judge(settings, [best, noisy], [0, 2]) == {}


@pytest.mark.parametrize("pruner", PRUNERS)
def test_one_run_alone_goes_on(pruner: str) -> None:
    assert judge(replace(SETTINGS, pruner=pruner), results(3.0), [0]) == {}


def test_every_pruner_that_can_be_chosen_is_there() -> None:
    assert set(JUDGES) == set(PRUNERS)
