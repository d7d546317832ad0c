"""`peft=prompt_tuning`: a few trained embeddings before every prompt (Lester et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from persona_sweeps.methods.virtual_method import InitializedTokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.methods.weights import Adapter


@dataclass
class PromptTuning(InitializedTokens):
    """Trained embeddings of virtual tokens."""

    method: str = "prompt_tuning"

    title = "prompt tuning"

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        from persona_sweeps.methods.soft_prompt import create_prompt
        from persona_sweeps.methods.weights import Adapter

        return Adapter(prompt=create_prompt(model, tokenizer, self.token_init(), seed), seed=seed)

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        return self.num_virtual_tokens * model.config.get_text_config().hidden_size
