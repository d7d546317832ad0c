"""LoRA, rsLoRA and DoRA: the weights of a trial, and the hook that applies the stacked weights of many at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from persona_sweeps.methods.dropout import keyed_dropout
from persona_sweeps.methods.low_rank import add_low_rank
from persona_sweeps.methods.stacked import Stacked, stacked
from persona_sweeps.methods.weights import Adapter, MakeHook
from persona_sweeps.models.layers import dense_weight


@dataclass(slots=True)
class LoraPair:
    """LoRA's weights for one linear layer: A [r, in] and B [r, out]; ΔW = scale · (Bᵀ A − B₀ᵀ A₀).

    B is PEFT's B transposed, so that both weights of a trial are contiguous in a stack that is padded along r.
    """

    a: nn.Parameter
    b: nn.Parameter
    scale: float
    """alpha / r, or alpha / √r for rsLoRA (Kalajdzievski 2023)"""
    start: tuple[Tensor, Tensor] | None = None
    """A₀ and B₀, the initial values of a pair whose initial product isn't zero; None: no product is subtracted"""
    magnitude: nn.Parameter | None = None
    """[out] trained lengths of the adapted weight's rows (DoRA)"""

    def parameters(self) -> Iterator[nn.Parameter]:
        yield self.a
        yield self.b
        if self.magnitude is not None:
            yield self.magnitude


@dataclass(slots=True)
class LoraWeights:
    """Low-rank pairs by module path (Hu et al. 2021)."""

    pairs: dict[str, LoraPair]
    alpha: float
    by_root: bool = False
    """whether the pairs are scaled by alpha / √r, not alpha / r"""
    dropout: float = 0.0

    def hooks(self) -> Iterator[tuple[MakeHook, str]]:
        for path in self.pairs:
            yield LoraHook, path

    def parameters(self) -> Iterator[nn.Parameter]:
        for pair in self.pairs.values():
            yield from pair.parameters()


class LoraHook:
    """One linear layer with the stacked pairs of the trials in the batch: y += dropout(x) Aᵀ · scale · B.

    Ranks are zero-padded to the largest: a zero pair gets a zero gradient, so it stays zero.
    """

    def __init__(self, path: str, module: nn.Module) -> None:
        self.path = path
        self.device = next(module.parameters()).device
        self.module = module
        self._a: Stacked | None = None
        self._b: Stacked | None = None
        self._start: tuple[Tensor, Tensor] | None = None
        self._magnitude: Magnitude | None = None
        self._base_squares: Tensor | None = None
        self._scale = torch.zeros(0)
        self._row_trials: Tensor | None = None
        self._dropout: tuple[Tensor, Tensor, Tensor] | None = None
        self._handle = module.register_forward_hook(self._apply)

    def stack(self, adapters: Sequence[Adapter]) -> None:
        """Move the pairs of these trials into one stack; a trial that doesn't adapt this layer has zeros in it."""
        pairs = [adapter.lora.pairs.get(self.path) if adapter.lora else None for adapter in adapters]
        self._a = stacked([pair.a if pair else None for pair in pairs])
        self._b = stacked([pair.b if pair else None for pair in pairs])
        if self._a is None or self._b is None:
            return
        device = self._a.leaf.device
        self._scale = torch.tensor([pair.scale if pair else 0.0 for pair in pairs], device=device)
        self._start = None
        if any(pair is not None and pair.start is not None for pair in pairs):
            self._start = (_starts(pairs, 0, self._a.leaf), _starts(pairs, 1, self._b.leaf))
        magnitude = stacked([pair.magnitude if pair else None for pair in pairs])
        self._magnitude = None
        if magnitude is not None:
            uses_dora = [pair is not None and pair.magnitude is not None for pair in pairs]
            if self._base_squares is None:
                self._base_squares = dense_weight(self.module).square().sum(1)
            self._magnitude = Magnitude(
                self.module, magnitude, torch.tensor(uses_dora, device=device), self._base_squares
            )

    def refresh(self) -> None:
        """Discard values computed from the weights, which may have changed."""
        if self._magnitude is not None:
            self._magnitude.refresh()

    def stacks(self) -> Iterator[Stacked]:
        magnitudes = self._magnitude.stack if self._magnitude is not None else None
        yield from (part for part in (self._a, self._b, magnitudes) if part is not None)

    def bind_gradients(self) -> None:
        """Give each trial's parameters their part of the accumulated gradients, and start a new accumulation."""
        for part in self.stacks():
            part.bind_gradients()

    def route(self, row_trials: Tensor | None, dropout: tuple[Tensor, Tensor, Tensor] | None) -> None:
        """Set the stacked pair of each row (None: row k has pair k), and the keys, salts and p of dropout."""
        self._row_trials, self._dropout = row_trials, dropout

    def close(self) -> None:
        self._handle.remove()

    def _factors(self) -> tuple[Tensor, Tensor]:
        """Return A [K, r, in] and B [K, r, out], whose product is added to the layer's weight.

        For pairs that started at A₀, B₀ it is BA − B₀A₀ = (B − B₀)A + B₀(A − A₀). The differences are computed in fp32,
        so that rounding doesn't lose small ones, and they are zero at the start.
        """
        assert self._a is not None and self._b is not None
        a, b = self._a.leaf, self._b.leaf
        if self._start is None:
            return a, b
        a0, b0 = self._start
        return torch.cat((a, a - a0), dim=1), torch.cat((b - b0, b0), dim=1)

    def _apply(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if self._a is None:
            return output
        x = inputs[0]
        factors = self._factors()
        a, b, scale = (self._routed(tensor) for tensor in (*factors, self._scale))
        if self._dropout is not None:
            x = keyed_dropout(x, *self._dropout)
        adapted = add_low_rank(output, x, a, b, scale)
        if self._magnitude is None:
            return adapted
        change = self._routed(self._magnitude.change(*factors, self._scale, x.dtype)).to(x.dtype)[:, None]
        bias = getattr(module, "bias", None)
        return adapted + change * (adapted if bias is None else adapted - bias)

    def _routed(self, tensor: Tensor) -> Tensor:
        return tensor if self._row_trials is None else tensor.index_select(0, self._row_trials)


class Magnitude:
    """DoRA's magnitudes: rescale the adapted weight's rows to the trained lengths m.

    The lengths of the rows before rescaling count as constants, so no gradient flows through them (Liu et al. 2024,
    section 4.3). Row by row, ‖W + sBᵀA‖² = ‖W‖² + 2s (WAᵀ)·B + s² B·(AAᵀ)B. The layer itself computes WAᵀ, so that no
    matrix of the weight's size is needed.
    """

    def __init__(self, module: nn.Module, stack: Stacked, uses_dora: Tensor, base_squares: Tensor) -> None:
        """Keep the stacked magnitudes; `uses_dora` [K] marks trials that have some, `base_squares` [out] is ‖W‖²."""
        self.module = module
        self.stack = stack
        self._uses_dora = uses_dora
        self._base_squares = base_squares
        self._lengths: Tensor | None = None

    def refresh(self) -> None:
        """Discard the lengths, since the pairs may have changed."""
        self._lengths = None

    def change(self, a: Tensor, b: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        """Return m / ‖W + ΔW‖ − 1 [K, out]; zero for a trial without magnitudes. The layer computes in `dtype`."""
        if self._lengths is None:
            self._lengths = self._row_lengths(a, b, scale, dtype)
        return torch.where(self._uses_dora[:, None], self.stack.leaf / self._lengths - 1, 0.0)

    @torch.no_grad()
    def _row_lengths(self, a: Tensor, b: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        bias = getattr(self.module, "bias", None)
        products = self.module.forward(a.to(dtype)).float() - (0.0 if bias is None else bias.float())
        quadratic = torch.bmm(torch.bmm(a, a.transpose(1, 2)), b)
        scale = scale[:, None]
        squares = self._base_squares + 2 * scale * (products * b).sum(1) + scale**2 * (quadratic * b).sum(1)
        return squares.clamp(min=torch.finfo(torch.float32).tiny).sqrt()


def _starts(pairs: Sequence[LoraPair | None], factor: int, like: Tensor) -> Tensor:
    """Return the A₀ (factor 0) or B₀ (factor 1) of all trials, zero-padded like the stack."""
    tensor = torch.zeros_like(like, requires_grad=False)
    for index, pair in enumerate(pairs):
        if pair is not None and pair.start is not None:
            start = pair.start[factor]
            tensor[index, : len(start)] = start
    return tensor
