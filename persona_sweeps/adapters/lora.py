"""LoRA: which layers it adapts, how its weights begin, and the stacked products that apply many trials' at once."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from persona_sweeps.adapters.dropout import keyed_dropout
from persona_sweeps.adapters.weights import Adapter, LoraWeights
from persona_sweeps.config import LoraConfig
from persona_sweeps.errors import ConfigError, did_you_mean
from persona_sweeps.seeds import derive_seed

ALL_LINEAR = "all-linear"


def linear_layers(model: PreTrainedModel) -> dict[str, nn.Module]:
    """Return the language model's linear layers by module path: neither the output embedding nor a vision tower."""
    inside = set(model.get_decoder().modules())
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module in inside
    }


def features(module: nn.Module) -> tuple[int, int]:
    """Return (in, out) of a linear layer; GPT-2's Conv1D stores its weight as [in, out]."""
    if isinstance(module, Conv1D):
        return module.nx, module.nf
    assert isinstance(module, nn.Linear)
    return module.in_features, module.out_features


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
        pairs[path] = (nn.Parameter(a.to(device)), nn.Parameter(torch.zeros(config.r, outputs, device=device)))
    return LoraWeights(r=config.r, alpha=config.alpha, dropout=config.dropout, pairs=pairs)


class LoraSite:
    """One linear layer and the stacked LoRA pairs of the trials in the batch: y += dropout(x) Aᵀ · scale · B.

    The pairs live in two leaf tensors, A [K, r, in] and B [K, r, out], ranks zero-padded to the largest (a zero pair
    gets a zero gradient, so it stays zero). Each trial's own parameters are views of them: one cast a pass serves all
    trials, gradients gather in fp32, and the optimizers update the stack itself.
    """

    def __init__(self, path: str, module: nn.Module) -> None:
        self.path = path
        self.inputs, self.outputs = features(module)
        self._pairs: list[tuple[nn.Parameter, nn.Parameter] | None] = []
        self._a: Tensor | None = None
        self._b: Tensor | None = None
        self._scale: Tensor | None = None
        self._slots: Tensor | None = None
        self._dropout: tuple[Tensor, Tensor, Tensor] | None = None
        self.handle = module.register_forward_hook(self._apply)

    def stack(self, adapters: Sequence[Adapter]) -> None:
        """Move the pairs of these trials into one stack; a trial that leaves this layer alone has zeros there."""
        self._pairs = [adapter.lora.pairs.get(self.path) if adapter.lora else None for adapter in adapters]
        self._a = self._b = None
        present = [pair for pair in self._pairs if pair is not None]
        if not present:
            return
        shape = (len(adapters), max(len(a) for a, _ in present))
        device = present[0][0].device
        stacked_a = torch.zeros(*shape, self.inputs, device=device)
        stacked_b = torch.zeros(*shape, self.outputs, device=device)
        for slot, pair in enumerate(self._pairs):
            if pair is not None:
                for parameter, leaf in zip(pair, (stacked_a, stacked_b), strict=True):
                    place = leaf[slot, : len(parameter)]
                    place.copy_(parameter.data)
                    parameter.data = place
        self._a, self._b = stacked_a.requires_grad_(), stacked_b.requires_grad_()
        scales = [adapter.lora.scale if adapter.lora else 0.0 for adapter in adapters]
        self._scale = torch.tensor(scales, device=device)

    def bind_gradients(self) -> None:
        """Give each trial's parameters their part of the gathered gradients, and start gathering anew."""
        if self._a is None or self._b is None:
            return
        for slot, pair in enumerate(self._pairs):
            if pair is not None:
                for parameter, leaf in zip(pair, (self._a, self._b), strict=True):
                    parameter.grad = leaf.grad[slot, : len(parameter)] if leaf.grad is not None else None
        self._a.grad = self._b.grad = None

    def route(self, slots: Tensor | None, dropout: tuple[Tensor, Tensor, Tensor] | None) -> None:
        """Say which stacked pair each row takes (None: row k takes pair k), and the keys, salts and p of dropout."""
        self._slots, self._dropout = slots, dropout

    def _apply(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if self._a is None or self._b is None or self._scale is None:
            return output
        x = inputs[0]
        a, b, scale = self._a, self._b, self._scale
        if self._slots is not None:
            a, b, scale = (tensor.index_select(0, self._slots) for tensor in (a, b, scale))
        a, b, scale = a.to(x.dtype), b.to(x.dtype), scale.to(x.dtype)
        if self._dropout is not None:
            x = keyed_dropout(x, *self._dropout)
        return torch.baddbmm(output, torch.bmm(x, a.transpose(1, 2)) * scale[:, None, None], b)
