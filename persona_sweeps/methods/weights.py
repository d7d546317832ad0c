"""What one trial trains: the weights of its adapter, in fp32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn


@dataclass(slots=True)
class LoraPair:
    """What LoRA puts beside one linear layer: A [r, in] and B [r, out]; ΔW = scale · (Bᵀ A − B₀ᵀ A₀).

    B is PEFT's transposed, so that both weights of a trial are contiguous in a stack padded along r.
    """

    a: nn.Parameter
    b: nn.Parameter
    start: tuple[Tensor, Tensor] | None = None
    """A₀ and B₀, which a pair that doesn't begin at zero begins at; None: zeros"""
    magnitude: nn.Parameter | None = None
    """[out] lengths of the adapted weight's rows, which DoRA trains"""

    def parameters(self) -> Iterator[nn.Parameter]:
        yield self.a
        yield self.b
        if self.magnitude is not None:
            yield self.magnitude


@dataclass(slots=True)
class LoraWeights:
    """Low-rank pairs by module path (Hu et al. 2021)."""

    r: int
    alpha: float
    dropout: float
    pairs: dict[str, LoraPair]
    scale: float
    """alpha / r, or alpha / √r for rsLoRA (Kalajdzievski 2023)"""

    def parameters(self) -> Iterator[nn.Parameter]:
        for pair in self.pairs.values():
            yield from pair.parameters()


@dataclass(slots=True)
class Ia3Weights:
    """Factors by module path: of the layer's outputs [out], or of its inputs [in] (Liu et al. 2022)."""

    outputs: dict[str, nn.Parameter]
    inputs: dict[str, nn.Parameter]

    def parameters(self) -> Iterator[nn.Parameter]:
        yield from self.outputs.values()
        yield from self.inputs.values()


class SoftPrompt(Protocol):
    """V virtual tokens before everything else."""

    def __len__(self) -> int: ...

    def values(self) -> Tensor:
        """Return the embeddings [V, hidden], with a gradient."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


@dataclass(slots=True)
class PromptWeights:
    """A soft prompt that is trained as it is: [V, hidden] (Lester et al. 2021)."""

    embeddings: nn.Parameter

    def __len__(self) -> int:
        return self.embeddings.shape[0]

    def values(self) -> Tensor:
        return self.embeddings

    def parameters(self) -> Iterator[nn.Parameter]:
        yield self.embeddings


@dataclass(slots=True)
class PrefixWeights:
    """Keys and values of V virtual tokens in each layer: [V, layers, 2, kv heads, head_dim] (Li & Liang 2021)."""

    states: nn.Parameter

    def __len__(self) -> int:
        return self.states.shape[0]

    def parameters(self) -> Iterator[nn.Parameter]:
        yield self.states


@dataclass(slots=True)
class FullWeights:
    """Copies of all of the language model's own weights, by name."""

    tensors: dict[str, nn.Parameter]

    def parameters(self) -> Iterator[nn.Parameter]:
        yield from self.tensors.values()


@dataclass(slots=True)
class Adapter:
    """The adapter of one trial; with no part it is the untuned base."""

    lora: LoraWeights | None = None
    ia3: Ia3Weights | None = None
    prompt: SoftPrompt | None = None
    prefix: PrefixWeights | None = None
    full: FullWeights | None = None
    prompt_rate_ratio: float = 1.0
    """the soft prompt learns at so many times the trial's rate"""
    seed: int = 0
    """names the trial's dropout masks"""
    step: int = field(default=0)
    """optimizer steps done: every step has its own dropout masks"""

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the parameters that learn at the same rate, and that rate as a multiple of the trial's."""
        layers = [part for part in (self.lora, self.ia3, self.prefix, self.full) if part is not None]
        groups = [([parameter for part in layers for parameter in part.parameters()], 1.0)]
        if self.prompt is not None:
            groups.append((list(self.prompt.parameters()), self.prompt_rate_ratio))
        return [(parameters, ratio) for parameters, ratio in groups if parameters]

    def parameters(self) -> Iterator[nn.Parameter]:
        for parameters, _ in self.parameter_groups():
            yield from parameters

    def trainable_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def virtual_tokens(self) -> int:
        prompt = self.prompt if self.prompt is not None else self.prefix
        return len(prompt) if prompt is not None else 0
