"""Mistral. The twin has a sliding window, as v0.1 has it: wide enough that virtual tokens are in reach."""

from __future__ import annotations

from persona_sweeps.models.families.family import TWIN_SIZES, Family


class Mistral(Family):
    model_type = "mistral"
    twin = {**TWIN_SIZES, "head_dim": 16, "sliding_window": 256, "tie_word_embeddings": False}
