"""Exact match and Jaccard's index, as nltk and plain comparison have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.metrics.distance import jaccard_distance

from persona_sweeps.metrics.match import Match
from persona_sweeps.metrics.metric import TEXT, Scores

texts = st.text(st.sampled_from("ab AB.,\n"), max_size=12)


def scored(*pairs: tuple[str, str], ignore_case: bool = True) -> Scores:
    return Match(ignore_case=ignore_case).score({TEXT: [{"text": text, "reference": line} for text, line in pairs]})


@given(texts.filter(str.strip), texts.filter(str.strip))
def test_jaccard_is_nltk_s(text: str, reference: str) -> None:
    found = scored((text, reference)).items[0]["jaccard"]
    assert found == pytest.approx(1 - jaccard_distance({*text.lower().split()}, {*reference.lower().split()}))


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_the_whole_is_the_mean_and_equal_texts_share_all_words(pairs: list[tuple[str, str]]) -> None:
    found = scored(*pairs)
    for name, value in found.whole.items():
        assert value == pytest.approx(sum(item[name] for item in found.items) / len(pairs)) and 0 <= value <= 1
    assert all(item["jaccard"] == 1 for item in found.items if item["exact_match"])


def test_case_and_white_space_make_no_difference_unless_case_is_to_count() -> None:
    pair = ("To be,\nor not", "to be, or  not")
    assert scored(pair).whole == {"exact_match": 1.0, "jaccard": 1.0}
    assert scored(pair, ignore_case=False).whole == {"exact_match": 0.0, "jaccard": 3 / 5}
    assert Match(ignore_case=True).version() != Match(ignore_case=False).version()
    assert scored().whole == {}
