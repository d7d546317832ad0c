"""Attention masks of packed rows in the form that each model family takes."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedConfig

Masks = Tensor | dict[str, Tensor]

MASKS_BY_LAYER_TYPE = {"qwen2", "qwen3", "gemma2", "gemma3_text"}
"""model types whose forward takes a mask for each of `config.layer_types`"""
ONE_SLIDING_MASK = {"mistral"}
"""model types whose one mask must carry the sliding window, where the config has one"""
ONE_FULL_MASK = {"llama", "gpt2"}
SUPPORTED = MASKS_BY_LAYER_TYPE | ONE_SLIDING_MASK | ONE_FULL_MASK


def attention_masks(
    config: PreTrainedConfig, visible: Tensor, query_positions: Tensor, key_positions: Tensor, dtype: torch.dtype
) -> Masks:
    """Turn `visible` [R, Q, K] (bool: query may look at key) into the additive masks [R, 1, Q, K] of a model.

    A sliding window of w lets a query see the keys less than w positions back; it counts positions [R, Q] and
    [R, K], not places in the row. Raises NotImplementedError for a model type whose masks are not known here.
    """
    kind = config.model_type
    if kind not in SUPPORTED:
        raise NotImplementedError(f"model type {kind}: attention masks are known for {', '.join(sorted(SUPPORTED))}.")
    window = getattr(config, "sliding_window", None)

    def sliding() -> Tensor:
        distance = query_positions[:, :, None] - key_positions[:, None, :]
        return _additive(visible & (distance < window), dtype)

    if kind in MASKS_BY_LAYER_TYPE:
        build = {"full_attention": lambda: _additive(visible, dtype), "sliding_attention": sliding}
        return {layer_type: build[layer_type]() for layer_type in set(config.layer_types)}
    if kind in ONE_SLIDING_MASK and window is not None:
        return sliding()
    return _additive(visible, dtype)


def _additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    hidden = torch.full((), torch.finfo(dtype).min, dtype=dtype, device=visible.device)
    return torch.where(visible[:, None], torch.zeros((), dtype=dtype, device=visible.device), hidden)
