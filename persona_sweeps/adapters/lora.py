"""LoRA: which layers it adapts, how its weights begin, and the stacked products that apply many trials' at once."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from persona_sweeps.adapters.dropout import keyed_dropout
from persona_sweeps.adapters.weights import Adapter, LoraWeights
from persona_sweeps.config import LoraConfig
from persona_sweeps.errors import ConfigError, did_you_mean
from persona_sweeps.seeds import derive_seed

ALL_LINEAR = "all-linear"


def linear_layers(model: PreTrainedModel) -> dict[str, nn.Module]:
    """Return the linear layers by module path, the output embedding left out."""
    head = model.get_output_embeddings()
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    }


def features(module: nn.Module) -> tuple[int, int]:
    """Return (in, out) of a linear layer; GPT-2's Conv1D stores its weight as [in, out]."""
    first, second = module.weight.shape  # type: ignore[union-attr,misc]
    return (first, second) if isinstance(module, Conv1D) else (second, first)  # type: ignore[return-value]


def target_paths(model: PreTrainedModel, target_modules: str | Sequence[str]) -> list[str]:
    """Return the paths of the layers that `peft.target_modules` names, in the model's order.

    `all-linear` means every linear layer but the output embedding; any other text is a regular expression that must
    match a whole path; a list holds names that a path may end with, as in PEFT. Raises ConfigError for a name that
    matches nothing.
    """
    layers = linear_layers(model)
    if target_modules == ALL_LINEAR:
        return list(layers)
    if isinstance(target_modules, str):
        matched = [path for path in layers if re.fullmatch(target_modules, path)]
        wanted = [target_modules] if not matched else []
    else:
        matched = [path for path in layers if any(_names(path, name) for name in target_modules)]
        wanted = [name for name in target_modules if not any(_names(path, name) for path in layers)]
    if wanted or not matched:
        known = sorted({path.rsplit(".", 1)[-1] for path in layers})
        missing = ", ".join(wanted) or "an empty list"
        raise ConfigError(
            f"peft.target_modules: {missing} matches no linear layer of this model, which has {', '.join(known)}."
            + (did_you_mean(wanted[0], known) if wanted else "")
        )
    return matched


def _names(path: str, name: str) -> bool:
    return path == name or path.endswith("." + name)


def create_lora(model: PreTrainedModel, config: LoraConfig, seed: int) -> LoraWeights:
    """Return fresh weights: A uniform as in PEFT (Kaiming with a = √5), B zero, so that training starts at the base.

    The generator is the trial's own and lives on the CPU, so a seed means the same weights on every device.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "lora"))
    layers = linear_layers(model)
    device = model.device
    pairs = {}
    for path in target_paths(model, config.target_modules):
        inputs, outputs = features(layers[path])
        a = torch.empty(config.r, inputs)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
        pairs[path] = (nn.Parameter(a.to(device)), nn.Parameter(torch.zeros(outputs, config.r, device=device)))
    return LoraWeights(r=config.r, alpha=config.alpha, dropout=config.dropout, pairs=pairs)


class LoraSite:
    """One linear layer and the stacked LoRA pairs of the trials in the batch: y += dropout(x) Aᵀ Bᵀ · scale.

    Ranks are zero-padded to the largest: a zero pair gets a zero gradient, so it stays zero.
    """

    def __init__(self, path: str, module: nn.Module) -> None:
        self.path = path
        self.inputs, self.outputs = features(module)
        self.dtype = module.weight.dtype  # type: ignore[union-attr]
        self.device = module.weight.device  # type: ignore[union-attr]
        self._a: Tensor | None = None
        self._b: Tensor | None = None
        self._slots: Tensor | None = None
        self._dropout: tuple[Tensor, Tensor, Tensor] | None = None
        self.handle = module.register_forward_hook(self._apply)

    def stack(self, adapters: Sequence[Adapter]) -> None:
        """Stack the pairs of these trials; one that leaves this layer alone takes part with zeros."""
        pairs = [adapter.lora.pairs.get(self.path) if adapter.lora else None for adapter in adapters]
        if not any(pairs):
            self._a = self._b = None
            return
        rank = max(pair[0].shape[0] for pair in pairs if pair)
        a, b = [], []
        for adapter, pair in zip(adapters, pairs, strict=True):
            if pair is None or adapter.lora is None:
                a.append(torch.zeros(rank, self.inputs, dtype=self.dtype, device=self.device))
                b.append(torch.zeros(self.outputs, rank, dtype=self.dtype, device=self.device))
                continue
            missing = rank - pair[0].shape[0]
            scaled = pair[1] * adapter.lora.scale
            a.append(F.pad(pair[0], (0, 0, 0, missing)).to(self.dtype))
            b.append(F.pad(scaled, (0, missing)).to(self.dtype))
        self._a, self._b = torch.stack(a), torch.stack(b)

    def route(self, slots: Tensor | None, dropout: tuple[Tensor, Tensor, Tensor] | None) -> None:
        """Say which stacked pair each row takes (None: row k takes pair k), and the keys, salts and p of dropout."""
        self._slots, self._dropout = slots, dropout

    def _apply(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if self._a is None or self._b is None:
            return output
        x = inputs[0]
        a, b = self._a, self._b
        if self._slots is not None:
            a, b = a.index_select(0, self._slots), b.index_select(0, self._slots)
        if self._dropout is not None:
            x = keyed_dropout(x, *self._dropout)
        return torch.baddbmm(output, torch.bmm(x, a.transpose(1, 2)), b.transpose(1, 2))
