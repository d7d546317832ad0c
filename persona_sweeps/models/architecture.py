"""Make transformers' config of a full model from the facts on its card, without a download and without weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.config.schema import Scale
from persona_sweeps.models.families import family_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from persona_sweeps.config.schema import ModelConfig


def card_config(card: ModelConfig) -> PreTrainedConfig | None:
    """Return the full model's config, made from the card's facts; None if the card has no facts for its hub_id.

    For a multimodal model it describes the language model only. It sets only what decides the shapes of the weights.
    """
    from transformers import AutoConfig

    if not has_facts(card):
        return None
    assert card.architecture is not None
    family = family_of(card)
    settings = family.settings(card.architecture)
    return AutoConfig.for_model(family.model_type, max_position_embeddings=card.context_length, **settings)


def has_facts(card: ModelConfig) -> bool:
    """Return whether the card's facts describe the model that it names, not a tiny twin or another hub_id."""
    return (
        card.scale is Scale.full
        and card.architecture is not None
        and card.architecture.hub_id == card.hub_id
        and not Path(card.hub_id).expanduser().is_dir()
    )
