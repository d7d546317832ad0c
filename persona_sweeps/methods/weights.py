"""The adapter of one trial: it has parts that act on layers, and parts that stand before the prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from persona_sweeps.methods.stacked import Stacked

if TYPE_CHECKING:
    from persona_sweeps.methods.full_weights import FullWeights
    from persona_sweeps.methods.ia3_layers import Ia3Weights
    from persona_sweeps.methods.lora_layers import LoraWeights
    from persona_sweeps.methods.prefix import PrefixWeights


class Hook(Protocol):
    """Applies adapters at one layer of the base model, with the stacked weights of many trials."""

    path: str
    """path of the layer, as in `model.named_modules()`"""
    device: torch.device
    """the layer's device, on which the arguments of `route` must be"""

    def stack(self, adapters: Sequence[Adapter]) -> None:
        """Stack the weights of these trials."""

    def refresh(self) -> None:
        """Discard what was computed from the weights, since they may have changed."""

    def stacks(self) -> Iterator[Stacked]:
        """Yield the stacked parameters."""

    def bind_gradients(self) -> None:
        """Give each trial's parameters the gradients accumulated since the last call."""

    def route(self, row_trials: Tensor | None, dropout: tuple[Tensor, Tensor, Tensor] | None) -> None:
        """Set the stacked trial of each row (None: row k has trial k), and the keys, salts and p of dropout."""

    def close(self) -> None:
        """Remove the hook and restore the model."""


MakeHook = Callable[[str, nn.Module], Hook]
"""(path, layer) → a hook on it"""


class LayerWeights(Protocol):
    """The part of an adapter that acts on linear layers of the base model.

    One hook at a layer serves all trials whose weights name the same `MakeHook` for it. The hook finds each trial's
    weights in the adapters that `stack` gets.
    """

    def hooks(self) -> Iterator[tuple[MakeHook, str]]:
        """Yield the hook's factory and the layer's path, for each layer that the weights act on."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


class SoftPrompt(Protocol):
    """V virtual tokens at the start of the text."""

    def __len__(self) -> int: ...

    def values(self) -> Tensor:
        """Return the embeddings [V, hidden], with a gradient."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


@dataclass(slots=True)
class Adapter:
    """The adapter of one trial, with weights in fp32; without any part it is the untuned base."""

    lora: LoraWeights | None = None
    ia3: Ia3Weights | None = None
    prompt: SoftPrompt | None = None
    prefix: PrefixWeights | None = None
    full: FullWeights | None = None
    others: tuple[LayerWeights, ...] = ()
    """layer weights of methods from other packages"""
    prompt_rate_ratio: float = 1.0
    """the soft prompt's learning rate as a multiple of the trial's"""
    seed: int = 0
    """seed of the trial's dropout masks"""
    step: int = field(default=0)
    """optimizer steps done; every step has its own dropout masks"""

    def on_layers(self) -> list[LayerWeights]:
        """Return the parts that act on linear layers."""
        named: list[LayerWeights | None] = [self.lora, self.ia3]
        return [part for part in named if part is not None] + list(self.others)

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the parameters grouped by learning rate, with each rate as a multiple of the trial's."""
        parts = [*self.on_layers(), *(part for part in (self.prefix, self.full) if part is not None)]
        groups = [([parameter for part in parts for parameter in part.parameters()], 1.0)]
        if self.prompt is not None:
            groups.append((list(self.prompt.parameters()), self.prompt_rate_ratio))
        return [(parameters, ratio) for parameters, ratio in groups if parameters]

    def parameters(self) -> Iterator[nn.Parameter]:
        for parameters, _ in self.parameter_groups():
            yield from parameters

    def trainable_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def dropout(self) -> float:
        """The share of layer inputs that a training step drops."""
        return self.lora.dropout if self.lora is not None else 0.0

    @property
    def virtual_tokens(self) -> int:
        prompt = self.prompt if self.prompt is not None else self.prefix
        return len(prompt) if prompt is not None else 0
