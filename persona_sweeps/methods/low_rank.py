"""The product of a LoRA pair with activations, as one operation for autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def add_low_rank(output: Tensor, x: Tensor, a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    """Return output + x Aᵀ · scale · B for rows of several trials, in the precision of x.

    x is [R, L, in], output [R, L, out], A [R, r, in] and B [R, r, out] in fp32, and scale [R]. The gradients of A and B
    are in fp32. As one operation it starts half as many kernels as its parts would, which on a GPU is what it costs.
    """
    return _AddLowRank.apply(output, x, a, b, scale)


class _AddLowRank(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, output: Tensor, x: Tensor, a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
        scale = scale[:, None, None]
        a, b = a.to(x.dtype), (b * scale).to(x.dtype)
        inner = torch.bmm(x, a.transpose(1, 2))
        ctx.save_for_backward(x, a, b, inner, scale)
        return torch.baddbmm(output, inner, b)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, a, b, inner, scale = ctx.saved_tensors
        of_output, of_x, of_a, of_b, _ = ctx.needs_input_grad
        of_inner = torch.bmm(gradient, b.transpose(1, 2))
        return (
            gradient if of_output else None,
            torch.bmm(of_inner, a) if of_x else None,
            torch.bmm(of_inner.transpose(1, 2), x).float() if of_a else None,
            torch.bmm(inner.transpose(1, 2), gradient).float().mul_(scale) if of_b else None,
            None,
        )
