"""`peft=prefix_tuning`: trained keys and values before every prompt, in each layer (Li & Liang 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from persona_sweeps.methods.virtual_method import InitializedTokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.methods.weights import Adapter


@dataclass
class PrefixTuning(InitializedTokens):
    """Trained keys and values of virtual tokens."""

    method: str = "prefix_tuning"

    title = "prefix tuning"

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        from persona_sweeps.methods.prefix_init import create_prefix
        from persona_sweeps.methods.weights import Adapter

        return Adapter(prefix=create_prefix(model, tokenizer, self.token_init(), seed), seed=seed)

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        from persona_sweeps.methods.prefix import state_shape

        layers, sides, heads, head_dim = state_shape(model)
        return self.num_virtual_tokens * layers * sides * heads * head_dim
