"""The base class of model families: an architecture of transformers, its tiny twin, and its peculiarities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from persona_sweeps.config.schema import ArchitectureConfig

# Wide enough that the logits differ clearly between tokens: with the usual 0.02 they would nearly tie.
INITIALIZER_RANGE = 0.1
TWIN_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": INITIALIZER_RANGE,
}
"""config of a tiny twin"""


class Family:
    """An architecture that the engine is tested on. Subclasses set the attributes.

    If a family has variants, its twin is the harder one, so that what works on the twin works on the real model.
    """

    model_type: ClassVar[str]
    """transformers' name of its config"""
    twin: ClassVar[Mapping[str, Any]]
    """settings of its tiny twin's config that differ from the defaults"""
    norms_keep_input: ClassVar[bool] = False
    """whether its norms scale in fp32, so that their weight's gradient needs the normalized input in fp32 too"""

    def settings(self, facts: ArchitectureConfig) -> dict[str, Any]:
        """Return the settings of the full model's config that fix the shapes of its weights."""
        return {
            "hidden_size": facts.hidden_size,
            "intermediate_size": facts.intermediate_size,
            "num_hidden_layers": facts.layers,
            "num_attention_heads": facts.heads,
            "num_key_value_heads": facts.kv_heads,
            "head_dim": facts.head_dim,
            "vocab_size": facts.vocab_size,
            "tie_word_embeddings": facts.tied_embeddings,
        }
