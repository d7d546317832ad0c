"""Distinct words and word pairs, counted by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.diversity import diversity


@given(st.lists(st.text("ab ", max_size=8), min_size=1, max_size=6))
def test_distinct_agrees_with_counting_by_hand(predictions: list[str]) -> None:
    words = [word for text in predictions for word in text.split()]
    pairs = [pair for text in predictions for pair in zip(text.split(), text.split()[1:], strict=False)]
    found = diversity(predictions)
    assert found.distinct_1 == (len(set(words)) / len(words) if words else None)
    assert found.distinct_2 == (len(set(pairs)) / len(pairs) if pairs else None)
    assert found.empty == sum(not text.strip() for text in predictions) / len(predictions)
