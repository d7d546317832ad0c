"""PEFT methods: a module for what each one trains, and the stack that applies the adapters of many trials at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from persona_sweeps.config.schema import PeftConfig
from persona_sweeps.errors import ConfigError, did_you_mean
from persona_sweeps.methods.weights import Adapter

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Builder = Callable[["PreTrainedModel", "PreTrainedTokenizerBase", Any, int], Adapter]
"""(model, tokenizer, the method's own config, seed) → a fresh adapter"""


def _none(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: Any, seed: int) -> Adapter:
    return Adapter(seed=seed)


def _lora(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: Any, seed: int) -> Adapter:
    from persona_sweeps.methods.lora import create_lora

    return Adapter(lora=create_lora(model, config, seed), seed=seed)


def _ia3(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: Any, seed: int) -> Adapter:
    from persona_sweeps.methods.ia3 import create_ia3

    return Adapter(ia3=create_ia3(model, config), seed=seed)


def _prompt_tuning(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: Any, seed: int) -> Adapter:
    from persona_sweeps.methods.prompt import create_prompt
    from persona_sweeps.methods.virtual_tokens import Beginning

    beginning = Beginning(config.init, config.num_virtual_tokens, config.init_text)
    return Adapter(prompt=create_prompt(model, tokenizer, beginning, seed), seed=seed)


def _prefix_tuning(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: Any, seed: int) -> Adapter:
    from persona_sweeps.methods.prefix_init import create_prefix
    from persona_sweeps.methods.virtual_tokens import Beginning

    beginning = Beginning(config.init, config.num_virtual_tokens, config.init_text)
    return Adapter(prefix=create_prefix(model, tokenizer, beginning, seed), seed=seed)


def _p_tuning(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: Any, seed: int) -> Adapter:
    from persona_sweeps.methods.prompt import EncodedPrompt

    return Adapter(prompt=EncodedPrompt(model, config, seed), seed=seed)


def _lora_prompt(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: Any, seed: int) -> Adapter:
    from persona_sweeps.methods.prompt import create_prompt
    from persona_sweeps.methods.virtual_tokens import Beginning

    adapter = _lora(model, tokenizer, config, seed)
    beginning = Beginning(config.prompt_init, config.num_virtual_tokens, config.init_text)
    adapter.prompt = create_prompt(model, tokenizer, beginning, seed)
    adapter.prompt_rate_ratio = config.prompt_rate_ratio
    return adapter


def _full(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: Any, seed: int) -> Adapter:
    from persona_sweeps.methods.full import create_full

    return Adapter(full=create_full(model), seed=seed)


METHODS: dict[str, Builder] = {
    "none": _none,
    "few_shot": _none,
    "nearest_reply": _none,
    "lora": _lora,
    "rslora": _lora,
    "dora": _lora,
    "ia3": _ia3,
    "prompt_tuning": _prompt_tuning,
    "prefix_tuning": _prefix_tuning,
    "p_tuning": _p_tuning,
    "lora_prompt": _lora_prompt,
    "full": _full,
}
"""peft.method → what makes a fresh adapter of it"""


def create_adapter(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: PeftConfig, seed: int
) -> Adapter:
    """Return a fresh adapter for a base model. Raises ConfigError for an unknown method or target module."""
    if config.method not in METHODS:
        raise ConfigError(f"peft.method={config.method} is unknown.{did_you_mean(config.method, METHODS)}")
    return METHODS[config.method](model, tokenizer, config, seed)
