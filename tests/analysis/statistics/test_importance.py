"""Importances find what decides, say how far chance goes, and are sentences where there is nothing to compute."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest

from analysis.read.studies import Study, StudyTrial
from analysis.statistics.importance import MAX_RESAMPLED, MIN_TRIALS, NoImportance, importances

LEARNING_RATE = {"step": None, "low": 1e-4, "high": 1e-2, "log": True}
SPACE: dict[str, dict[str, Any]] = {
    "peft.r": {"name": "CategoricalDistribution", "attributes": {"choices": [4, 8, 16]}},
    "train.learning_rate": {"name": "FloatDistribution", "attributes": LEARNING_RATE},
}


def study(n: int, effect: float = 1.0, direction: str = "minimize", **about: Any) -> Study:
    """A study whose value hangs on the learning rate alone, with little noise."""
    rng = np.random.default_rng(0)
    sign = 1 if direction == "minimize" else -1
    trials = []
    for number in range(n):
        params = {"peft.r": int(rng.choice([4, 8, 16])), "train.learning_rate": float(10 ** rng.uniform(-4, -2))}
        distance = abs(np.log10(params["train.learning_rate"]) + 3)
        value = sign * float(effect * distance + 0.01 * rng.normal())
        trials.append(StudyTrial(number, "completed", params, str(number), None, (value,)))
    return Study(
        "s", "s", ("m",), (direction,), "random", "none", **({"space": SPACE, "trials": tuple(trials)} | about)
    )


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_what_decides_comes_first_and_beats_chance(direction: str) -> None:
    found = importances(of := study(64, direction=direction), of.completed)
    assert [item.parameter for item in found] == ["train.learning_rate", "peft.r"]
    assert sum(item.share for item in found) == pytest.approx(1)
    first, second = found
    assert first.chance is not None and second.chance is not None and first.spread is not None
    assert first.share > first.chance and second.share < second.chance
    assert 0 <= first.spread.low <= first.spread.high <= 1


def test_it_is_the_same_each_time() -> None:
    of = study(20)
    assert importances(of, of.completed) == importances(of, of.completed)


def test_many_trials_have_no_spread() -> None:
    found = importances(of := study(MAX_RESAMPLED + 1), of.completed)
    assert found[0].parameter == "train.learning_rate" and found[0].spread is None and found[0].chance is None


def test_nothing_is_said_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    of = study(MIN_TRIALS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importances(of, of.completed)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (study(MIN_TRIALS - 1), "7 completed trials are too few"),
        (
            study(9, trials=tuple(StudyTrial(n, "completed", {"peft.r": 4}, None, None, (1.0,)) for n in range(9))),
            "same value",
        ),
        (study(9, space={"peft.r": {"name": "Unheard"}}), "the distribution of peft.r can't be read"),
        (
            study(9, space={"peft.r": {"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}}),
            "doesn't fit the study's space",
        ),
        (study(9, space={}), "no parameter varied"),
    ],
)
def test_a_study_without_importances_says_why(of: Study, why: str) -> None:
    with pytest.raises(NoImportance, match=why):
        importances(of, of.completed)


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(NoImportance, match=r"persona-sweeps\[study\]"):
        importances(of := study(9), of.completed)
