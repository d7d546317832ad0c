"""What one trial trains: the weights of its adapter, in fp32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn


@dataclass(slots=True)
class LoraWeights:
    """Low-rank pairs by module path: A [r, in] and B [r, out]; ΔW = alpha / r · Bᵀ A (Hu et al. 2021).

    B is PEFT's transposed, so that both weights of a trial are contiguous in a stack padded along r.
    """

    r: int
    alpha: float
    dropout: float
    pairs: dict[str, tuple[nn.Parameter, nn.Parameter]]

    @property
    def scale(self) -> float:
        return self.alpha / self.r


@dataclass(slots=True)
class PromptWeights:
    """A soft prompt of V virtual tokens before everything else: [V, hidden] (Lester et al. 2021)."""

    embeddings: nn.Parameter

    def __len__(self) -> int:
        return self.embeddings.shape[0]


@dataclass(slots=True)
class Adapter:
    """The adapter of one trial; with neither part it is the untuned base."""

    lora: LoraWeights | None = None
    prompt: PromptWeights | None = None
    seed: int = 0
    """names the trial's dropout masks"""
    step: int = field(default=0)
    """optimizer steps done: every step has its own dropout masks"""

    def parameters(self) -> Iterator[nn.Parameter]:
        if self.lora is not None:
            for pair in self.lora.pairs.values():
                yield from pair
        if self.prompt is not None:
            yield self.prompt.embeddings

    def trainable_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def virtual_tokens(self) -> int:
        return len(self.prompt) if self.prompt is not None else 0
