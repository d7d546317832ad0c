"""Detokenizing: quotes, contractions and line breaks as they were written, with no words glued together."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.data.formats.detokenize import detokenize, is_tokenized

CASES = {
    "`` Is n't it ? '' he said .<newline><newline>`` No , '' she said ; `` it ca n't be . ''": (
        '"Isn\'t it?" he said.\n\n"No," she said; "it can\'t be."'
    ),
    "It 's John 's book , they 're `` here '' ( or there ) and I 'd pay $ 5 .": (
        "It's John's book, they're \"here\" (or there) and I'd pay $5."
    ),
    "the end .<newline>Next <newline> one": "the end.\nNext\none",
    "no space<newline>before": "no space\nbefore",
    'He said " hello " and " bye . "': 'He said "hello" and "bye."',
    "'' Quote ''": '"Quote"',
    "I am gon na go . Wait ... what ? !": "I am gonna go. Wait... what?!",
    "-LRB- aside -RRB- he said": "(aside) he said",
    "DON 'T and DO N'T": "DON 'T and DON'T",
    "« Où est-il ? » C’est ça .": "« Où est-il? » C’est ça.",
    "你好 。": "你好 。",
    "": "",
}


@pytest.mark.parametrize("text", CASES)
def test_tokenized_text_is_written_as_it_was(text: str) -> None:
    assert detokenize(text) == CASES[text]


@pytest.mark.parametrize(
    "text",
    [
        "normal \"text\", isn't it? (yes) 'single' rock 'n' roll",
        "a .5 inch nail, the 'm' key, 'd-day' and a :) smile",
        "One.\nTwo: three; 50% of $5!",
        "wanna and gonna — well…",
    ],
)
def test_text_that_was_never_tokenized_stays(text: str) -> None:
    assert detokenize(text) == text and not is_tokenized(text)


@pytest.mark.parametrize("text", ["`` Hm", "is n't", "a <newline> b", "it 's", "one , two"])
def test_tokenized_text_is_recognized(text: str) -> None:
    assert is_tokenized(text)


tokens = st.lists(
    st.sampled_from(
        ["Ann", "said", "n't", "'s", "``", "''", '"', ",", ".", "...", "(", ")", "<newline>", "$", "na", "gon"]
    ),
    max_size=30,
)


@given(tokens)
def test_only_white_space_and_quotes_change_and_once_is_enough(parts: list[str]) -> None:
    text = " ".join(parts)
    once = detokenize(text)
    plain = re.sub(r"``|''", '"', text).replace("<newline>", "")
    assert re.sub(r"\s", "", once) == re.sub(r"\s", "", plain)
    assert detokenize(once).split() == once.split()


@given(tokens.filter(lambda parts: not {"n't", "'s", "gon"} & set(parts)))
def test_words_stay_apart(parts: list[str]) -> None:
    words = [part for part in parts if part.isalpha()]
    assert re.findall(r"[A-Za-z]+", detokenize(" ".join(parts))) == words
