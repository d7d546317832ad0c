"""From the facts on a model card to transformers' config of the full model: no download, and no weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.config.schema import Scale
from persona_sweeps.models.families import family_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from persona_sweeps.config.schema import ModelConfig


def card_config(card: ModelConfig) -> PreTrainedConfig | None:
    """Return the full model's config made of the card's facts, or None when the card has none for its hub_id.

    Of a multimodal model it is the language model alone. Only what decides the shapes of the weights is filled in.
    """
    from transformers import AutoConfig

    if not has_facts(card):
        return None
    assert card.architecture is not None
    family = family_of(card)
    settings = family.settings(card.architecture)
    return AutoConfig.for_model(family.model_type, max_position_embeddings=card.context_length, **settings)


def has_facts(card: ModelConfig) -> bool:
    """Whether the card's facts are those of the model that it names: not of a tiny twin, nor of another hub_id."""
    return (
        card.scale is Scale.full
        and card.architecture is not None
        and card.architecture.hub_id == card.hub_id
        and not Path(card.hub_id).expanduser().is_dir()
    )
