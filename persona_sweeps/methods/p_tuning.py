"""`peft=p_tuning`: a small network computes the embeddings that come before every prompt (Liu et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least
from persona_sweeps.methods.virtual_method import VirtualTokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.methods.weights import Adapter


@dataclass
class PTuning(VirtualTokens):
    """A soft prompt that a network computes from trained embeddings; after training only its output is kept."""

    method: str = "p_tuning"
    encoder_hidden_size: int = MISSING

    title = "P-tuning"
    can_start_from = False

    @property
    def search_space(self) -> Mapping[str, str]:
        return {
            "peft.num_virtual_tokens": "choice(4,8,16,32)",
            "peft.encoder_hidden_size": "choice(64,128,256)",
            "train.learning_rate": "tag(log, interval(3e-4,3e-2))",
        }

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        yield from at_least("peft.encoder_hidden_size", self.encoder_hidden_size, 1)

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        from persona_sweeps.methods.prompt_encoder import EncodedPrompt
        from persona_sweeps.methods.weights import Adapter

        return Adapter(prompt=EncodedPrompt(model, self, seed), seed=seed)

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        """Count the embeddings, and the network of three layers with biases."""
        outside, inside = model.config.get_text_config().hidden_size, self.encoder_hidden_size
        network = (outside + 1) * inside + (inside + 1) * inside + (inside + 1) * outside
        return self.saved_parameters(model) + network

    def saved_parameters(self, model: PreTrainedModel) -> int:
        return self.num_virtual_tokens * model.config.get_text_config().hidden_size
