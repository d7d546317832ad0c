"""Tiny twins: each family's own architecture class with two small layers and seeded random weights.

A twin rehearses a sweep of any model on a laptop. Where a family has variants, the twin takes the harder one, so that
what works on it works on the real model: Mistral's twin has a sliding window (v0.3 has none), each Gemma's has one
sliding and one full layer, and Qwen3's and Gemma-3's heads together are wider than the hidden state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from persona_sweeps.errors import ConfigError, did_you_mean
from persona_sweeps.models.tiny_tokenizer import tiny_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from persona_sweeps.config.schema import ModelConfig

TWIN_SEED = 0
MAX_POSITIONS = 2048


@dataclass(frozen=True, slots=True)
class Family:
    """How to make a twin: transformers' `model_type`, and the settings of its config that differ from the defaults."""

    model_type: str
    settings: dict[str, Any]


_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    # Wide enough that the logits differ clearly between tokens: with the usual 0.02 they would nearly tie.
    "initializer_range": 0.1,
}
_GEMMA = {**_SIZES, "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}

FAMILIES: dict[str, Family] = {
    "llama": Family("llama", {**_SIZES, "head_dim": 16, "tie_word_embeddings": True}),
    "mistral": Family("mistral", {**_SIZES, "head_dim": 16, "sliding_window": 32, "tie_word_embeddings": False}),
    "qwen2": Family("qwen2", {**_SIZES, "tie_word_embeddings": False}),
    "qwen3": Family("qwen3", {**_SIZES, "head_dim": 32, "tie_word_embeddings": False}),
    "gemma2": Family(
        "gemma2",
        {
            **_GEMMA,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
            "tie_word_embeddings": True,
        },
    ),
    "gemma3": Family(
        "gemma3_text", {**_GEMMA, "head_dim": 32, "query_pre_attn_scalar": 32, "tie_word_embeddings": True}
    ),
    "gpt2": Family(
        "gpt2",
        {
            "hidden_size": 64,
            "n_inner": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "initializer_range": 0.1,
            "tie_word_embeddings": True,
        },
    ),
}
"""The architectures that have a twin, by the card's `family`."""


def tiny_config(card: ModelConfig) -> PreTrainedConfig:
    """Return the config of a card's twin. Raises `ConfigError` for a family that has none."""
    from transformers import AutoConfig

    family = FAMILIES.get(card.family)
    if family is None:
        raise ConfigError(
            f"model.family={card.family} has no tiny twin; the families that have one are {', '.join(FAMILIES)}."
            + did_you_mean(card.family, FAMILIES)
        )
    tokenizer = tiny_tokenizer(card)
    return AutoConfig.for_model(
        family.model_type,
        **family.settings,
        vocab_size=len(tokenizer),
        max_position_embeddings=min(card.context_length, MAX_POSITIONS),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def tiny_model(card: ModelConfig) -> PreTrainedModel:
    """Return a card's twin in fp32 on the CPU: the same weights every time, global random state left as it was."""
    import torch
    from transformers import AutoModelForCausalLM

    config = tiny_config(card)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would seed the accelerators' generators too.
        torch.default_generator.manual_seed(TWIN_SEED)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=card.attention)


def tiny_fingerprint(card: ModelConfig) -> str:
    """Return the SHA-256 (hex) of what fixes a twin's weights: its config and the seed."""
    from persona_sweeps.models.fingerprints import json_sha256

    config = tiny_config(card).to_dict()
    config.pop("transformers_version", None)
    return json_sha256({"config": config, "seed": TWIN_SEED})
