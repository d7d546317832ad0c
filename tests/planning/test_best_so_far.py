"""The run that is ahead while a sweep goes on is named only where runs may be compared."""

from __future__ import annotations

from typing import Any

import pytest

from persona_sweeps.planning.best_so_far import BestSoFar
from persona_sweeps.records.evaluation import Outcome
from tests.analysis.records import DESCRIPTIONS


def outcome(key: str = "k", **metrics: float) -> Outcome:
    found = {name: DESCRIPTIONS[name] for name in metrics}
    return Outcome("completed", evaluation={"metrics": metrics, "descriptions": found, "comparability_key": key})


def sentence(*evaluations: Outcome) -> str:
    best = BestSoFar()
    for place, one in enumerate(evaluations):
        best.add(f"run {place}", one)
    return best.sentence


def test_the_best_is_named_by_the_largest_headline_that_compares_models() -> None:
    first = outcome(completion_ppl=10.0, bits_per_byte=2.0, rougeL=0.1)
    second = outcome(completion_ppl=20.0, bits_per_byte=1.5, rougeL=0.05)
    assert sentence(first, second) == "Best of 2 so far: run 1, bits/byte 1.500."


def test_more_is_better_where_the_metric_says_so() -> None:
    assert sentence(outcome(rougeL=0.1), outcome(rougeL=0.3), outcome(rougeL=0.2)).startswith("Best of 3 so far: run 1")


@pytest.mark.parametrize(
    "evaluations",
    [
        [],
        [outcome(rougeL=0.1)],
        [outcome(rougeL=0.1), outcome("other", rougeL=0.2)],
        [outcome(rougeL=0.1), outcome(bits_per_byte=2.0)],
        [outcome(completion_ppl=2.0), outcome(completion_ppl=3.0)],
        [outcome(rougeL=0.1), outcome(rougeL=float("nan"))],
    ],
    ids=["none", "one", "other items", "other metrics", "tokens", "not finite"],
)
def test_there_is_none_where_nothing_can_be_said(evaluations: list[Any]) -> None:
    assert sentence(*evaluations) == ""
