"""GPT-2: learned positions, one layer for queries, keys and values, and names of its own in transformers' config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from persona_sweeps.models.families.family import INITIALIZER_RANGE, Family

if TYPE_CHECKING:
    from persona_sweeps.config.schema import ArchitectureConfig


class Gpt2(Family):
    model_type = "gpt2"
    twin = {
        "hidden_size": 64,
        "n_inner": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": INITIALIZER_RANGE,
        "tie_word_embeddings": True,
    }

    def settings(self, facts: ArchitectureConfig) -> dict[str, Any]:
        return {
            "hidden_size": facts.hidden_size,
            "n_inner": facts.intermediate_size,
            "num_hidden_layers": facts.layers,
            "num_attention_heads": facts.heads,
            "vocab_size": facts.vocab_size,
            "tie_word_embeddings": facts.tied_embeddings,
        }
