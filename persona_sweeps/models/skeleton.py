"""Build a base model's modules without its weights, to check a config before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from persona_sweeps.config.schema import Scale

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from persona_sweeps.config.schema import ModelConfig


def skeleton(card: ModelConfig) -> PreTrainedModel:
    """Return the card's model on the meta device: all its modules, no weights. Raises `UserError` as `config_of`."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config_of(card), trust_remote_code=False)


def config_of(card: ModelConfig) -> PreTrainedConfig:
    """Return the config of the card's model, made from the card's facts.

    For a folder, or a hub_id that isn't the card's own, it is read from config.json. Raises `UserError` if that can't
    be loaded.
    """
    from transformers import AutoConfig

    from persona_sweeps.models.architecture import card_config
    from persona_sweeps.models.loading_errors import explaining_errors
    from persona_sweeps.models.source import find_source
    from persona_sweeps.models.tiny import tiny_config

    config = tiny_config(card) if card.scale is Scale.tiny else card_config(card)
    if config is not None:
        return config
    source = find_source(card)
    with explaining_errors(card):
        return AutoConfig.from_pretrained(source.location, revision=source.revision or "main", trust_remote_code=False)
