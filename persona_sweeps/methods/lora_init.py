"""Initialize LoRA's pairs from the trial's seed, so that they change nothing at the start."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from persona_sweeps.methods.lora_layers import LoraPair, LoraWeights
from persona_sweeps.models.layers import dense_weight, features, linear_layers, target_paths
from persona_sweeps.seeds import derive_seed

if TYPE_CHECKING:
    from persona_sweeps.methods.lora import Lora

Init = Callable[[nn.Module, int, float, torch.Generator], tuple[Tensor, Tensor]]
"""(layer, rank, scale, generator) → A [r, in] and B [r, out] on the CPU, in fp32"""


def _default(layer: nn.Module, r: int, scale: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a uniform A as in PEFT (Kaiming with a = √5), and B = 0."""
    inputs, outputs = features(layer)
    a = torch.empty(r, inputs)
    nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
    return a, torch.zeros(r, outputs)


def _pissa(layer: nn.Module, r: int, scale: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the weight's r largest singular directions; both factors hold the root of the value (Meng et al. 2024)."""
    left, values, right = torch.linalg.svd(dense_weight(layer), full_matrices=False)
    roots = (values[:r] / scale).sqrt()
    return (roots[:, None] * right[:r]).cpu(), (roots[:, None] * left.T[:r]).cpu()


def _olora(layer: nn.Module, r: int, scale: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the first r rows and columns of the weight's QR factors (Büyükakyüz 2024)."""
    q, upper = torch.linalg.qr(dense_weight(layer))
    return upper[:r].contiguous().cpu(), q.T[:r].contiguous().cpu()


INITS: dict[str, Init] = {"default": _default, "pissa": _pissa, "olora": _olora}
"""peft.init of LoRA; except for the default, the initial product isn't zero; the layer's result is corrected by it"""


def create_lora(model: PreTrainedModel, config: Lora, seed: int) -> LoraWeights:
    """Return initial weights, which leave the base model unchanged.

    Each trial has its own generator, on the CPU, so that a seed gives the same weights on every device. A pair is on
    its layer's device. Raises ConfigError for target modules that match nothing.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "lora"))
    layers = linear_layers(model)
    pairs = {}
    for path in target_paths(model, config.target_modules):
        layer = layers[path]
        device = next(layer.parameters()).device
        a, b = (tensor.to(device) for tensor in INITS[config.init](layer, config.r, config.scale, generator))
        start = None if config.init == "default" else (a.clone(), b.clone())
        magnitude = nn.Parameter(dense_weight(layer).norm(dim=1)) if config.has_magnitudes else None
        pairs[path] = LoraPair(nn.Parameter(a), nn.Parameter(b), config.scale, start, magnitude)
    return LoraWeights(pairs, config.alpha, config.by_root, config.dropout)
