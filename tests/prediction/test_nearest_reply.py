"""The nearest reply: TF-IDF cosines as a slow computation in plain Python gives them, and what is looked up."""

from __future__ import annotations

import math
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.nearest import Nearest
from persona_sweeps.prediction.references.nearest_reply import NearestReply

TEXTS = st.lists(st.sampled_from(["to", "be", "or", "not", "that", "is", "the", "question"]), max_size=8).map(" ".join)


def vector(text: str, documents: list[str]) -> dict[str, float]:
    """TF-IDF by the formula, a word at a time."""
    found: dict[str, float] = {}
    for word, count in Counter(re.findall(r"\w+", text.lower())).items():
        having = sum(word in re.findall(r"\w+", document.lower()) for document in documents)
        if 0 < having < max(2, len(documents)):  # of a single document, all words count
            found[word] = count * (math.log((1 + len(documents)) / (1 + having)) + 1)
    return found


def cosine(one: dict[str, float], other: dict[str, float]) -> float:
    lengths = math.hypot(*one.values()) * math.hypot(*other.values())
    return sum(weight * other.get(word, 0.0) for word, weight in one.items()) / lengths if lengths else 0.0


@settings(deadline=None)  # the first call imports scikit-learn
@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=7))
def test_the_cosine_is_that_of_the_formula_and_of_equals_the_first_is_taken(query: str, documents: list[str]) -> None:
    expected = [cosine(vector(query, documents), vector(document, documents)) for document in documents]
    index, similarity = Nearest(documents)(query)
    assert similarity == pytest.approx(max(expected), abs=1e-9)
    assert index == [value > max(expected) - 1e-9 for value in expected].index(True)


def test_case_and_order_of_words_do_not_matter() -> None:
    nearest = Nearest(["who is there", "the king is dead", "words, words"])
    assert nearest("The DEAD king?")[0] == 1
    assert nearest("king the dead is") == (1, pytest.approx(1.0))


def example(number: int, said: str, reply: str = "", persona: str | None = None) -> Example:
    prompt = (Message("system", "Be a prince " * 30), Message("user", said))
    return Example(f"id-{number}", prompt, reply or f"reply {number}", f"scene {number}", persona)


def test_the_reply_is_that_of_the_example_asked_most_alike_and_the_card_has_no_weight() -> None:
    train = (example(0, "Be a prince"), example(1, "What do you read, my lord?"), example(2, "Is the king dead?"))
    asked = [example(8, "My lord, what is it that you read?"), example(9, "They say the king is dead.")]
    replies, counts = NearestReply().answer(train, asked)
    assert [reply["text"] for reply in replies] == ["reply 1", "reply 2"]
    assert [reply["nearest_id"] for reply in replies] == ["id-1", "id-2"] and not counts


def test_a_persona_answers_with_its_own_replies_and_one_without_any_with_another_s() -> None:
    train = (
        example(0, "Good my lord", persona="Ophelia"), example(1, "the king is dead", persona="Hamlet"),
        example(2, "words", persona="Hamlet"),
    )  # fmt: skip
    asked = [example(7, "Good my lord", persona="Hamlet"), example(8, "Good my lord", persona="Ophelia")]
    asked.append(example(9, "the king", persona="Yorick"))
    replies, counts = NearestReply().answer(train, asked)
    assert [reply["nearest_id"] for reply in replies] == ["id-1", "id-0", "id-1"]
    assert counts["replies_of_other_personas"] == 1
    assert replies[0]["similarity"] == 0.0
