"""Configs and small real tokenizers for the tests of the data room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from persona_sweeps.data.sources.jsonl import Jsonl
from persona_sweeps.data.sources.shakespeare import Shakespeare

SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>"]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}\n"
    "{{ message.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
THINKING = CHATML.replace(
    "assistant\n{% endif %}", "assistant\n{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
DATED = "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}" + (
    "<|im_start|>system\nToday: {{ date_string }}<|im_end|>\n" + CHATML
)
TEMPLATES = {"chatml": CHATML, "gemma": GEMMA, "thinking": THINKING, "dated": DATED, "none": None}


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    """A function of a template's name that gives a byte-level BPE tokenizer, which adds <s> if `adds_bos`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(["to be, or not to be, that is the question", "who's there? stand, ho!"] * 4, trainer)
    plain = backend.to_str()

    def made(template: str = "chatml", adds_bos: bool = False) -> Any:
        tokenizer = Tokenizer.from_str(plain)
        if adds_bos:
            tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            bos_token="<s>",
            eos_token="</s>",
            additional_special_tokens=SPECIAL[2:],
            chat_template=TEMPLATES[template],
        )

    return made


@pytest.fixture
def shakespeare_config() -> Callable[..., Shakespeare]:
    defaults = dict(
        source="shakespeare",
        persona="Hamlet",
        context_lines=4,
        card="long",
        eval_fraction=0.2,
        split_seed=0,
        min_examples=8,
        loss_on="completion",
    )
    return lambda **changes: Shakespeare(**{**defaults, **changes})


@pytest.fixture
def jsonl_config() -> Callable[..., Jsonl]:
    defaults = dict(source="jsonl", card=None, eval_fraction=0.2, split_seed=0, min_examples=2, loss_on="completion")
    return lambda path, **changes: Jsonl(**{**defaults, "path": str(path), **changes})
