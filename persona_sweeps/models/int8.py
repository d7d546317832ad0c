"""LLM.int8 with outliers chosen token by token, so that a token's result doesn't depend on the rest of the batch.

LLM.int8 (Dettmers et al. 2022, section 3) finds the features in which any token of the batch has an outlier, and
multiplies them in high precision for all tokens. bitsandbytes does so; a token's result then depends on which others
share the batch. Here an outlier affects its own token only. The weights, the kernels and the work are the same.
"""

from __future__ import annotations

from typing import Any

import bitsandbytes
import torch
from torch import Tensor, nn

INT8_MAX = 127.0


class TokenwiseInt8(bitsandbytes.nn.Linear8bitLt):
    """A bitsandbytes layer with frozen 8-bit weights, applied token by token."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs [..., out] of inputs [..., in]; the gradient is that of the dequantized layer."""
        return _TokenwiseInt8.apply(x, self.state.CB, self.state.SCB, self.bias, self.state.threshold)


def apply_tokenwise(layer: nn.Module) -> None:
    """Make a quantized `Linear8bitLt` compute token by token, in place."""
    assert isinstance(layer, bitsandbytes.nn.Linear8bitLt)
    if getattr(layer.weight, "CB", None) is not None:
        layer.init_8bit_state()
    layer.__class__ = TokenwiseInt8


def dequantized(codes: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the weight [out, in] behind 8-bit codes [out, in] and the largest absolute value [out] of each row."""
    return codes.to(dtype, copy=True).mul_(scales[:, None] / INT8_MAX)


class _TokenwiseInt8(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, codes: Tensor, scales: Tensor, bias: Tensor | None, threshold: float) -> Tensor:
        ctx.save_for_backward(codes, scales)
        flat = x.reshape(-1, x.shape[-1])
        rounded = flat.half()  # the kernels take fp16; a number too large for it becomes infinite, hence an outlier
        large = rounded.abs() >= threshold if threshold > 0 else None
        inliers = rounded if large is None else rounded.masked_fill(large, 0)
        tokens, token_scales, _ = torch.ops.bitsandbytes.int8_vectorwise_quant(inliers)
        output = torch.ops.bitsandbytes.int8_scaled_mm(tokens, codes, token_scales, scales, bias=bias, dtype=x.dtype)
        if large is not None:
            columns = large.any(0).nonzero().flatten()
            outliers = flat[:, columns].masked_fill(~large[:, columns], 0)
            output = output.addmm(outliers, dequantized(codes[:, columns], scales, x.dtype).T)
        return output.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        codes, scales = ctx.saved_tensors
        return gradient @ dequantized(codes, scales, gradient.dtype), None, None, None, None
