"""Make a model of a card's full shape with random weights, without a download, to measure speed and memory anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from persona_sweeps.config.schema import ModelConfig

SEED = 0


def random_model(card: ModelConfig, dtype: torch.dtype, device: str) -> PreTrainedModel:
    """Return the card's model with seeded random weights in `dtype`, made on `device`; the global random state stays.

    Another kind of device gives other weights. Raises `UserError` if the shapes aren't known.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from persona_sweeps.models.skeleton import config_of

    config = config_of(card)
    devices = [torch.device(device).index or 0] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.device(device):
        torch.manual_seed(SEED)
        return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=card.attention)
