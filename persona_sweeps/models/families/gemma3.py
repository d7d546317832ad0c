"""Gemma-3, the language model alone: sliding and full layers, norms on queries and keys.

The twin has one layer of each kind, and its heads together are wider than the hidden state.
"""

from __future__ import annotations

from persona_sweeps.models.families.family import TWIN_SIZES, Family


class Gemma3(Family):
    model_type = "gemma3_text"
    twin = {
        **TWIN_SIZES,
        "sliding_window": 16,
        "layer_types": ["sliding_attention", "full_attention"],
        "head_dim": 32,
        "query_pre_attn_scalar": 32,
        "tie_word_embeddings": True,
    }
    norms_keep_input = True
