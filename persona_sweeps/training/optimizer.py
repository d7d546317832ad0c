"""AdamW for hundreds of small parameters, whose state it doesn't look up again at each step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw


class AdamW(torch.optim.AdamW):
    """torch's fused AdamW (Loshchilov & Hutter 2019), with the same results.

    An adapter has hundreds of parameters. To collect their moments takes longer than the fused kernel, and a group does
    it for each trial; so they are collected once, after the first step.
    """

    def __init__(self, params: Iterable[dict[str, Any]], **settings: Any) -> None:
        super().__init__(params, fused=True, **settings)
        self._states: list[tuple[list[Tensor], list[Tensor], list[Tensor]]] = []
        """moments and step counts of each group's parameters, once there are any"""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._states = []

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step; a parameter without a gradient stays as it is."""
        gradients = [[parameter.grad for parameter in group["params"]] for group in self.param_groups]
        if closure is not None or not self._states or any(g is None for part in gradients for g in part):
            loss = super().step(closure)
            self._states = self._collected()
            return loss
        for group, of_group, (averages, squares, steps) in zip(self.param_groups, gradients, self._states, strict=True):
            beta1, beta2 = group["betas"]
            adamw(
                group["params"], of_group, averages, squares, [], steps,
                fused=True, amsgrad=False, beta1=beta1, beta2=beta2, lr=group["lr"],
                weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
            )  # fmt: skip
        return None

    def _collected(self) -> list[tuple[list[Tensor], list[Tensor], list[Tensor]]]:
        """Return every group's state, or nothing as long as a parameter has none."""
        states = [[self.state.get(parameter, {}) for parameter in group["params"]] for group in self.param_groups]
        if not all(state for part in states for state in part):
            return []
        names = ("exp_avg", "exp_avg_sq", "step")
        return [tuple([state[name] for state in part] for name in names) for part in states]  # type: ignore[misc]
