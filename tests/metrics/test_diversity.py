"""Diversity by its formulas, on texts whose variety is known, and never out of its range."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import sentence_bleu
from nltk.util import ngrams

from persona_sweeps.config.kinds import METRICS
from persona_sweeps.metrics.diversity import distinct, is_one_speech, repetition
from persona_sweeps.metrics.metric import TEXT, Scores
from tests.metrics.own_prompts import run_data

TEXTS = st.lists(st.text(st.sampled_from("ab AB\n:[]吃"), max_size=30), max_size=6)


def scored(texts: Sequence[str], finished: bool | None = True, at_most: int = 64) -> Scores:
    keys: dict[str, Any] = {} if finished is None else {"finished": finished}
    lines = [{"text": text, "reference": "", **keys} for text in texts]
    return METRICS.make("diversity", {"self_bleu_texts": at_most}).score({TEXT: lines})


@settings(deadline=None)
@given(TEXTS)
def test_values_are_fractions_whatever_is_said(texts: list[str]) -> None:
    found = scored(texts)
    assert all(0 <= value <= 1 for values in (found.whole, *found.items) for value in values.values())
    assert len(found.items) == len(texts) and json.loads(json.dumps(found.items)) == found.items
    for n in (1, 2, 3):
        grams = [gram for text in texts for gram in ngrams(text.casefold().split(), n)]
        assert found.whole.get(f"distinct_{n}") == (len({*grams}) / len(grams) if grams else None)


def test_self_bleu_is_that_of_each_text_against_the_others() -> None:
    texts = [example.completion for example in run_data().corpus.eval if len(example.completion.split()) > 9][:8]
    texts = [" ".join("".join(c if c.isalnum() else " " for c in text).split()) for text in texts]
    texts += [f"{texts[0]} and so on", f"Well {texts[1]}"]  # so that every order has a match
    found = scored(texts)
    for index in (0, 1, 8, 9):
        others = [text.split() for i, text in enumerate(texts) if i != index]
        assert found.items[index]["self_bleu"] == pytest.approx(sentence_bleu(others, texts[index].split()), abs=1e-6)


def test_alike_texts_are_less_varied_than_different_ones() -> None:
    same, different = scored(["to be or not to be"] * 5), scored([f"{c}1 {c}2 {c}3 {c}4 {c}5" for c in "abcde"])
    assert same.whole["self_bleu"] == pytest.approx(1.0) and different.whole["self_bleu"] < 0.1
    assert all(same.whole[f"distinct_{n}"] < different.whole[f"distinct_{n}"] == 1 for n in (1, 2, 3))


def test_repetition_counts_what_a_text_had_before() -> None:
    assert repetition(["a", "b", "c", "d"]) == 0 and repetition([]) == 0
    assert repetition(["a", "b", "c", "d", "a", "b", "c", "d"]) == pytest.approx(1 / 5)
    assert repetition(["no"] * 100) == pytest.approx(96 / 97)


def test_the_end_is_unknown_where_predictions_do_not_say() -> None:
    assert scored(["Ay."], finished=None).whole.keys() & {"ended"} == set()
    assert scored(["Ay."], finished=False).whole["ended"] == 0 and scored(["Ay."]).whole["ended"] == 1


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("My lord, I came to see your father's funeral.", True),
        ("Note this: I'll wipe away all trivial fond records", True),  # more than a name stands before the colon
        ("[Aside] A little more than kin", True),
        ("HAMLET: To be", False),
        ("Ay.\nKing Claudius: How fares our cousin?", False),
        ("Ay. [Exit", False),
        ("Ay.] So", False),
        ("(a [b) c]", False),
        ("  \n", False),
    ],
)
def test_script_form(text: str, valid: bool) -> None:
    assert is_one_speech(text) is valid


def test_real_lines_have_script_form() -> None:
    lines = [example.completion for example in run_data().all_characters.train]
    assert scored(lines[:400], at_most=2).whole["script_form"] > 0.97


def test_self_bleu_takes_texts_evenly_and_none_alone() -> None:
    found = scored([f"text number {n}" for n in range(10)], at_most=4)
    assert [index for index, item in enumerate(found.items) if "self_bleu" in item] == [0, 2, 5, 7]
    assert "self_bleu" not in scored(["alone"]).whole
    assert scored([]).whole == {} and distinct([[]], 1) is None
