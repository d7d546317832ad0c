"""Copying finds what stands in the training lines, as brute force does, and not what only sounds like it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_sweeps.metrics.copying import Copying
from persona_sweeps.metrics.longest_match import LongestMatch
from persona_sweeps.metrics.metric import TEXT, Scores
from persona_sweeps.metrics.words import words
from tests.metrics.own_prompts import run_data

DATA = run_data()
METRIC = Copying(min_words=5)
WORDS = st.lists(st.sampled_from(["to", "be", "or", "not"]), max_size=8)


def scores(*texts: str) -> Scores:
    return METRIC.score_with({TEXT: [{"text": text, "reference": ""} for text in texts]}, DATA)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=6), WORDS)
def test_the_longest_run_is_that_of_brute_force(lines: list[list[str]], text: list[str]) -> None:
    runs = {tuple(line[i:j]) for line in lines for i in range(len(line)) for j in range(i + 1, len(line) + 1)}
    shared = [j - i for i in range(len(text)) for j in range(i + 1, len(text) + 1) if tuple(text[i:j]) in runs]
    assert LongestMatch(lines)(text) == max(shared, default=0)


def test_training_lines_are_copies_held_out_ones_and_noise_are_not() -> None:
    trained = [e.completion for e in DATA.corpus.train if len(words(e.completion)) >= 5][:30]
    held_out = [e.completion for e in DATA.corpus.eval][:30]
    others = [line.completion for line in DATA.all_characters.held_out if line.persona != "Hamlet"][:30]
    noise = ["zxq vrr kwp " * 4] * 3
    copied, honest, other, none = (scores(*texts).whole for texts in (trained, held_out, others, noise))
    assert copied["copied"] == 1.0 and copied["nearest_distance"] == pytest.approx(0.0, abs=1e-6)
    assert honest["copied"] < 0.1 and other["copied"] < 0.1
    assert none == {"copied": 0.0, "longest_copied": 0.0, "nearest_distance": 1.0}
    assert copied["longest_copied"] > honest["longest_copied"] > none["longest_copied"]
    assert copied["nearest_distance"] < honest["nearest_distance"] < none["nearest_distance"]


def test_case_punctuation_and_place_within_a_line_do_not_hide_a_copy() -> None:
    line = next(e.completion for e in DATA.corpus.train if len(words(e.completion)) > 12)
    middle = " — ".join(words(line)[3:10]).upper() + "!!"
    assert scores(middle).items[0]["copied"] == 1.0
    assert scores(f"{middle} indubitably").items[0] == scores(f"{middle} indubitably").items[0] | {
        "copied": 0.0,
        "longest_copied": 7.0,
    }


def test_a_short_text_is_no_copy_and_lines_do_not_run_into_each_other() -> None:
    assert scores(" ".join(words(DATA.corpus.train[0].completion)[:4])).items[0]["copied"] == 0.0
    assert LongestMatch([["a", "b"], ["c", "d"]])(["a", "b", "c", "d"]) == 2


@pytest.mark.parametrize(
    "text", ["", "…", "😀😀", "言語", "word " * 2500], ids=["empty", "dots", "emoji", "han", "long"]
)
def test_every_text_has_a_score_in_range(text: str) -> None:
    [item] = scores(text).items
    assert 0 <= item["copied"] <= 1 and item["longest_copied"] >= 0 and 0 <= item["nearest_distance"] <= 1


def test_no_texts_have_no_values_and_other_training_lines_another_fingerprint() -> None:
    assert scores().whole == {}
    assert METRIC.fingerprint(DATA) != METRIC.fingerprint(run_data(limit=20))
