"""Qwen3: norms on queries and keys. The twin's heads together are wider than the hidden state."""

from __future__ import annotations

from persona_sweeps.models.families.family import TWIN_SIZES, Family


class Qwen3(Family):
    model_type = "qwen3"
    twin = {**TWIN_SIZES, "head_dim": 32, "tie_word_embeddings": False}
