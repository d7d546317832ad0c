"""Mistral. The twin has a sliding window, as v0.1 has it and v0.3 doesn't."""

from __future__ import annotations

from persona_sweeps.models.families.family import TWIN_SIZES, Family


class Mistral(Family):
    model_type = "mistral"
    twin = {**TWIN_SIZES, "head_dim": 16, "sliding_window": 32, "tie_word_embeddings": False}
