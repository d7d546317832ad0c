"""How LoRA's weights begin."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from persona_sweeps.models.layers import dense_weight, features

Init = Callable[[nn.Module, int, float, torch.Generator], tuple[Tensor, Tensor]]
"""(layer, rank, scale, generator) → A [r, in] and B [r, out] on the CPU, in fp32"""


def _default(layer: nn.Module, r: int, scale: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A uniform as in PEFT (Kaiming with a = √5), B zero."""
    inputs, outputs = features(layer)
    a = torch.empty(r, inputs)
    nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
    return a, torch.zeros(r, outputs)


def _pissa(layer: nn.Module, r: int, scale: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The weight's r largest singular directions, each factor with the root of the value (Meng et al. 2024)."""
    left, values, right = torch.linalg.svd(dense_weight(layer), full_matrices=False)
    roots = (values[:r] / scale).sqrt()
    return (roots[:, None] * right[:r]).cpu(), (roots[:, None] * left.T[:r]).cpu()


def _olora(layer: nn.Module, r: int, scale: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The first r rows and columns of the weight's QR factors (Büyükakyüz 2024)."""
    q, upper = torch.linalg.qr(dense_weight(layer))
    return upper[:r].contiguous().cpu(), q.T[:r].contiguous().cpu()


INITS: dict[str, Init] = {"default": _default, "pissa": _pissa, "olora": _olora}
"""peft.init of LoRA; all but the default begin with a product that isn't zero, which is taken off the layer's result"""
