"""(IA)³: the factors of a trial, and the hooks that apply the stacked factors of many trials at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from persona_sweeps.methods.stacked import Stacked, stacked
from persona_sweeps.methods.weights import Adapter, MakeHook


@dataclass(slots=True)
class Ia3Weights:
    """Factors by module path, for a layer's outputs [out] or its inputs [in] (Liu et al. 2022)."""

    outputs: dict[str, nn.Parameter]
    inputs: dict[str, nn.Parameter]

    def hooks(self) -> Iterator[tuple[MakeHook, str]]:
        for path in self.outputs:
            yield Ia3OutputHook, path
        for path in self.inputs:
            yield Ia3InputHook, path

    def parameters(self) -> Iterator[nn.Parameter]:
        yield from self.outputs.values()
        yield from self.inputs.values()


class _Ia3Hook:
    """One linear layer whose inputs or outputs z become z + (l − 1) z with the factors l of each row's trial.

    In this form, a factor near 1 isn't rounded to 1 in bf16.
    """

    def __init__(self, path: str, module: nn.Module) -> None:
        self.path = path
        self.device = next(module.parameters()).device
        self._factors: Stacked | None = None
        self._scaled = torch.zeros(0)
        self._row_trials: Tensor | None = None
        self._handle = self._register(module)

    def stack(self, adapters: Sequence[Adapter]) -> None:
        factors = [self._factor(adapter) for adapter in adapters]
        self._factors = stacked(factors)
        if self._factors is not None:
            present = [factor is not None for factor in factors]
            self._scaled = torch.tensor(present, device=self._factors.leaf.device)[:, None]

    def refresh(self) -> None:
        pass

    def stacks(self) -> Iterator[Stacked]:
        if self._factors is not None:
            yield self._factors

    def bind_gradients(self) -> None:
        for part in self.stacks():
            part.bind_gradients()

    def route(self, row_trials: Tensor | None, dropout: tuple[Tensor, Tensor, Tensor] | None) -> None:
        self._row_trials = row_trials

    def close(self) -> None:
        self._handle.remove()

    def _register(self, module: nn.Module) -> RemovableHandle:
        raise NotImplementedError

    def _factor(self, adapter: Adapter) -> nn.Parameter | None:
        raise NotImplementedError

    def _scale(self, states: Tensor) -> Tensor:
        if self._factors is None:
            return states
        change = torch.where(self._scaled, self._factors.leaf - 1, 0.0)
        if self._row_trials is not None:
            change = change.index_select(0, self._row_trials)
        return states + change.to(states.dtype)[:, None] * states


class Ia3OutputHook(_Ia3Hook):
    """Scales a layer's outputs."""

    def _register(self, module: nn.Module) -> RemovableHandle:
        return module.register_forward_hook(lambda module, inputs, output: self._scale(output))

    def _factor(self, adapter: Adapter) -> nn.Parameter | None:
        return adapter.ia3.outputs.get(self.path) if adapter.ia3 is not None else None


class Ia3InputHook(_Ia3Hook):
    """Scales a layer's inputs."""

    def _register(self, module: nn.Module) -> RemovableHandle:
        return module.register_forward_pre_hook(lambda module, inputs: (self._scale(inputs[0]), *inputs[1:]))

    def _factor(self, adapter: Adapter) -> nn.Parameter | None:
        return adapter.ia3.inputs.get(self.path) if adapter.ia3 is not None else None
