"""PEFT methods: one module a method, and the stack that applies the adapters of many trials at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from persona_sweeps.adapters.weights import Adapter
from persona_sweeps.config import LoraConfig, PeftConfig, PromptTuningConfig
from persona_sweeps.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Builder = Callable[[PreTrainedModel, PreTrainedTokenizerBase, PeftConfig, int], Adapter]


def _none(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: PeftConfig, seed: int) -> Adapter:
    return Adapter(seed=seed)


def _lora(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: PeftConfig, seed: int) -> Adapter:
    from persona_sweeps.adapters.lora import create_lora

    assert isinstance(config, LoraConfig)
    return Adapter(lora=create_lora(model, config, seed), seed=seed)


def _prompt_tuning(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: PeftConfig, seed: int
) -> Adapter:
    from persona_sweeps.adapters.prompt import create_prompt

    assert isinstance(config, PromptTuningConfig)
    return Adapter(prompt=create_prompt(model, tokenizer, config, seed), seed=seed)


METHODS: dict[str, Builder] = {"none": _none, "lora": _lora, "prompt_tuning": _prompt_tuning}
"""peft.method → what makes a fresh adapter of it"""


def create_adapter(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: PeftConfig, seed: int
) -> Adapter:
    """Return a fresh adapter for a base model. Raises ConfigError for an unknown method or target module."""
    if config.method not in METHODS:
        raise ConfigError(f"peft.method={config.method} is unknown.{did_you_mean(config.method, METHODS)}")
    return METHODS[config.method](model, tokenizer, config, seed)
