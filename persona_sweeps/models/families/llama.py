"""Llama, and what is built like it, such as SmolLM2."""

from __future__ import annotations

from persona_sweeps.models.families.family import TWIN_SIZES, Family


class Llama(Family):
    model_type = "llama"
    twin = {**TWIN_SIZES, "head_dim": 16, "tie_word_embeddings": True}
