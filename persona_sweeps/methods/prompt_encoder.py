"""P-tuning's soft prompt: a small network computes it during training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from persona_sweeps.seeds import derive_seed

if TYPE_CHECKING:
    from persona_sweeps.methods.p_tuning import PTuning


class EncodedPrompt:
    """A soft prompt that a small network computes from trained embeddings, as in PEFT."""

    def __init__(self, model: PreTrainedModel, config: PTuning, seed: int) -> None:
        from peft import PromptEncoder, PromptEncoderConfig, TaskType

        settings = PromptEncoderConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=config.num_virtual_tokens,
            token_dim=model.config.get_text_config().hidden_size,
            encoder_hidden_size=config.encoder_hidden_size,
            num_transformer_submodules=1,
        )
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which would seed the accelerators' generators too.
            torch.default_generator.manual_seed(derive_seed(seed, "prompt"))
            self.encoder = PromptEncoder(settings).to(model.device)
        self.hidden_size = config.encoder_hidden_size
        self._indices = torch.arange(config.num_virtual_tokens, device=model.device)

    def __len__(self) -> int:
        return len(self._indices)

    def values(self) -> Tensor:
        embeddings: Tensor = self.encoder(self._indices)
        return embeddings

    def parameters(self) -> Iterator[nn.Parameter]:
        yield from self.encoder.parameters()
