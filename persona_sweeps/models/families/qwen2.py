"""Qwen2 and Qwen2.5: queries, keys and values have biases."""

from __future__ import annotations

from persona_sweeps.models.families.family import TWIN_SIZES, Family


class Qwen2(Family):
    model_type = "qwen2"
    twin = {**TWIN_SIZES, "tie_word_embeddings": False}
