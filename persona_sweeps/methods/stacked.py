"""Stack the parameters that all trials of a batch have for one use into one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Stacked:
    """K trials' parameters [n, …] in one leaf tensor [K, longest n, …], zero-padded; a trial without one has zeros.

    Each trial's parameter becomes a view of its part of the stack. So one cast a pass serves all trials, gradients
    accumulate in fp32, and the optimizers update the stack itself.
    """

    def __init__(self, parameters: Sequence[nn.Parameter | None]) -> None:
        self._parameters = list(parameters)
        present = [parameter for parameter in parameters if parameter is not None]
        longest = max(map(len, present))
        shape = (len(parameters), longest, *present[0].shape[1:])
        self.leaf = torch.zeros(shape, device=present[0].device)
        for view, parameter in self._views(self.leaf):
            view.copy_(parameter.data)
            parameter.data = view
        self.leaf.requires_grad_()
        self._reused: Tensor | None = None
        """memory in which every gradient is accumulated, once `reused_gradient` was called"""
        self._parts: list[tuple[Tensor, nn.Parameter]] = []

    def reused_gradient(self) -> Tensor:
        """Return the memory in which the next gradient is accumulated: the same each time, whatever is in it."""
        if self._reused is None:
            self._reused = torch.empty_like(self.leaf, requires_grad=False)
            self._parts = self._views(self._reused)
        self.leaf.grad = self._reused
        return self._reused

    def bind_gradients(self) -> None:
        """Give each parameter its part of the accumulated gradient, and start a new accumulation."""
        if self.leaf.grad is None:
            for parameter in self._parameters:
                if parameter is not None:
                    parameter.grad = None
            return
        for part, parameter in self._parts if self.leaf.grad is self._reused else self._views(self.leaf.grad):
            parameter.grad = part
        self.leaf.grad = None

    def _views(self, tensor: Tensor) -> list[tuple[Tensor, nn.Parameter]]:
        return [
            (tensor[index, : len(parameter)], parameter)
            for index, parameter in enumerate(self._parameters)
            if parameter is not None
        ]


def stacked(parameters: Sequence[nn.Parameter | None]) -> Stacked | None:
    """Return these parameters in one stack, or None if there are none."""
    return Stacked(parameters) if any(parameter is not None for parameter in parameters) else None
