"""Ollama's Modelfile: a card and stop texts can't break out of their quotes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.deployment.gguf.modelfile import modelfile, quoted


def test_a_modelfile_has_the_file_the_card_and_the_stops() -> None:
    text = modelfile("a.gguf", "You are Hamlet.", ["<|im_end|>", "\nFIRST"], 2048, "lora.gguf")
    assert text.splitlines()[:3] == ["FROM ./a.gguf", "ADAPTER ./lora.gguf", 'SYSTEM """You are Hamlet."""']
    assert "PARAMETER num_ctx 2048\n" in text and 'PARAMETER stop "<|im_end|>"\n' in text
    assert text.endswith('PARAMETER stop """\nFIRST"""\n')
    assert "SYSTEM" not in modelfile("a.gguf", None, [], 64) and "ADAPTER" not in modelfile("a.gguf", None, [], 64)


@given(st.text())
def test_no_card_ends_its_own_quotes(card: str) -> None:
    text = modelfile("a.gguf", card, [], 64)
    assert text.count('"""') == (2 if card else 0)


def test_line_breaks_and_quotes_stand_between_three_quotes() -> None:
    assert quoted("end") == '"end"' and quoted('a"b') == '"""a"b"""'
