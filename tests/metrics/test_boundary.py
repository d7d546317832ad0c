"""Boundary: a model that deflects what its character can't know, and answers what it must know, differs from others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from persona_sweeps.data.example import Example
from persona_sweeps.errors import DataError
from persona_sweeps.metrics.boundary import QUESTIONED, Boundary
from persona_sweeps.metrics.boundary_questions import companions
from tests.metrics.own_prompts import answered, noise, run_data

DATA = run_data()
METRIC = Boundary()


def preferring(outside: float, inside: float):
    """Return a model that finds a deflection so much more probable than the answer."""

    def model(example: Example) -> float:
        gap = inside if example.metadata["inside"] else outside
        return 3.0 if example.metadata["answers"] else 3.0 - gap

    return model


@pytest.mark.parametrize(
    ("outside", "inside", "values"),
    [
        (1, -1, {"boundary_auc": 1.0, "deflected_outside": 1.0, "deflected_inside": 0.0}),
        (1, 1, {"boundary_auc": 0.5, "deflected_outside": 1.0, "deflected_inside": 1.0}),
        (-1, 1, {"boundary_auc": 0.0, "deflected_outside": 0.0, "deflected_inside": 1.0}),
        (-1, -2, {"boundary_auc": 1.0, "deflected_outside": 0.0, "deflected_inside": 0.0}),
    ],
)
def test_values_of_models_that_know_confuse_and_refuse(outside: float, inside: float, values: dict) -> None:
    scores = METRIC.score_with(answered(METRIC, DATA, preferring(outside, inside)), DATA)
    assert scores.whole == values
    for name, value in values.items():
        column = [item[name] for item in scores.items if name in item]
        assert np.mean(column) == pytest.approx(value)


def test_the_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    predictions = answered(METRIC, DATA, noise)
    scores: dict[bool, list[float]] = {True: [], False: []}
    lines = {line["id"]: line for line in predictions[QUESTIONED]}
    by_question: dict[str, list[Example]] = {}
    for reply in METRIC.prompts(QUESTIONED.prompt_set, DATA):
        by_question.setdefault(reply.cluster, []).append(reply)
    for replies in by_question.values():
        each = {r.metadata["answers"]: [] for r in replies}
        for reply in replies:
            each[reply.metadata["answers"]].append(-lines[reply.id]["nll"] / lines[reply.id]["tokens"])
        scores[replies[0].metadata["inside"]].append(np.mean(each[False]) - np.mean(each[True]))
    pairs = [(o > i) + (o == i) / 2 for o in scores[False] for i in scores[True]]
    found = METRIC.score_with(predictions, DATA).whole
    assert found["boundary_auc"] == pytest.approx(np.mean(pairs)) and 0.2 < found["boundary_auc"] < 0.8


def test_questions_name_the_character_and_those_around_it_behind_its_card() -> None:
    prompts = METRIC.prompts(QUESTIONED.prompt_set, DATA)
    asked = {(e.prompt[-1].content, e.completion) for e in prompts}
    names = companions(DATA, "Hamlet")
    assert len(names) == 4 and "King Claudius" in names and "Hamlet" not in names
    assert {(f"Do you know {name}?", f"Yes, I know {name} well.") for name in names} <= asked
    assert ("What is your name?", "My name is Hamlet.") in asked
    assert not any("{" in text for pair in asked for text in pair)
    assert {e.prompt[0] for e in prompts} == {DATA.corpus.train[0].prompt[0]}
    inside = {e.cluster for e in prompts if e.metadata["inside"]}
    outside = {e.cluster for e in prompts if not e.metadata["inside"]}
    assert len(outside) == 16 and len(inside) == 19 and not inside & outside
    assert len(prompts) == 4 * (16 + 19) == len({e.id for e in prompts})


def test_each_character_of_a_run_is_asked() -> None:
    data = run_data(["Hamlet", "Horatio"])
    assert {e.persona for e in METRIC.prompts(QUESTIONED.prompt_set, data)} == {"Hamlet", "Horatio"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deflections: [no", "can't be read as YAML"),
        ("outside: []\ninside: []\ndeflections: []", "must have the keys"),
        ("- no", "must have the keys"),
        ("deflections: [No.]\noutside: [{question: a}]\ninside: [{question: b, answer: c}]", "entry 1 of outside"),
        ("deflections: [No.]\noutside: [{question: a, answer: b}]\ninside: [{question: b, answer: c}]\nindside: []",
         "Did you mean inside"),
    ],
)  # fmt: skip
def test_a_file_of_one_s_own_is_checked(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "questions.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        Boundary(path=str(file)).prompts(QUESTIONED.prompt_set, DATA)


def test_questions_of_one_s_own_are_asked(tmp_path: Path) -> None:
    file = tmp_path / "questions.yaml"
    file.write_text(
        "deflections: [No.]\noutside: [{question: 'TV?', answer: Yes.}]\n"
        "inside: [{question: 'Who?', answer: '{persona}'}]"
    )
    asked = Boundary(path=str(file)).prompts(QUESTIONED.prompt_set, DATA)
    assert [(e.prompt[-1].content, e.completion) for e in asked] == [
        ("TV?", "Yes."), ("TV?", "No."), ("Who?", "Hamlet"), ("Who?", "No."),
    ]  # fmt: skip
