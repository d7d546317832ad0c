"""Tiny twins: the architecture class of a model with two small layers and seeded random weights.

With a twin, a sweep of any model can be rehearsed on a laptop. Its family (models/families) defines its config.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from persona_sweeps.models.families import family_of
from persona_sweeps.models.tiny_tokenizer import tiny_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from persona_sweeps.config.schema import ModelConfig

TWIN_SEED = 0
MAX_POSITIONS = 2048


def tiny_config(card: ModelConfig) -> PreTrainedConfig:
    """Return the config of a card's twin. Raises `ConfigError` for a family that nobody registered."""
    from transformers import AutoConfig

    family = family_of(card)
    tokenizer = tiny_tokenizer(card)
    return AutoConfig.for_model(
        family.model_type,
        **family.twin,
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
