"""Text that is passed on piece by piece: the pieces make the text, and none is ever taken back."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.deployment.streaming import TextStream
from persona_sweeps.prediction.ending import Ending


def decoded(tokens: Sequence[int]) -> str:
    """Decode tokens that are bytes, as byte-level tokenizers do: half a character is a replacement character."""
    return bytes(tokens).decode("utf-8", errors="replace")


def pieces_of(text: str, stops: tuple[str, ...]) -> tuple[list[str], str]:
    """Stream the bytes of a text one by one, up to a stop; return the pieces, and the text that they should make."""
    ending = Ending(frozenset(), stops, decoded)
    said: list[str] = []
    stream = TextStream(ending, said.append)
    tokens: list[int] = []
    for byte in text.encode():
        tokens.append(byte)
        stream(0, tokens)
        if ending.reached(tokens):
            break
    stream.finish(tokens)
    return said, ending.text(tokens)


@given(st.text("ab \n→é🎭", max_size=30), st.lists(st.text("ab\n", min_size=1, max_size=3), max_size=2).map(tuple))
def test_the_pieces_make_the_text_that_would_have_been_returned(text: str, stops: tuple[str, ...]) -> None:
    said, whole = pieces_of(text, stops)
    assert "".join(said) == whole


def test_no_half_character_and_no_beginning_of_a_stop_text_is_said() -> None:
    said, _ = pieces_of("né 🎭\n[Scene", ("\n[Scene",))
    assert said == ["n", "é", " 🎭"]


def test_text_comes_while_it_is_made() -> None:
    said, _ = pieces_of("words, words", ())
    assert len(said) > 5 and said[0] == "w"
