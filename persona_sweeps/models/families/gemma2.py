"""Gemma-2: sliding and full layers in turn, and soft-capped logits. The twin has one layer of each kind."""

from __future__ import annotations

from persona_sweeps.models.families.family import TWIN_SIZES, Family


class Gemma2(Family):
    model_type = "gemma2"
    twin = {
        **TWIN_SIZES,
        "sliding_window": 16,
        "layer_types": ["sliding_attention", "full_attention"],
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "tie_word_embeddings": True,
    }
    norms_keep_input = True
