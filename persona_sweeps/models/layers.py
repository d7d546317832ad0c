"""The linear layers of a base model: find them, measure them, and select those that a config names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from persona_sweeps.errors import ConfigError, did_you_mean

ALL_LINEAR = "all-linear"


def linear_layers(model: PreTrainedModel) -> dict[str, nn.Module]:
    """Return the language model's linear layers by module path, without the output embedding and any vision tower."""
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


def transposed(model: PreTrainedModel, paths: Iterable[str]) -> bool:
    """Whether any of these layers stores its weight as [in, out], as GPT-2's do."""
    layers = linear_layers(model)
    return any(isinstance(layers[path], Conv1D) for path in paths)


def dense_weight(module: nn.Module) -> Tensor:
    """Return a linear layer's weight [out, in] in fp32, whether it is stored plainly, transposed or quantized."""
    from peft.utils.integrations import dequantize_module_weight

    weight = dequantize_module_weight(module).detach().float()
    return weight.T if isinstance(module, Conv1D) else weight


def target_paths(
    model: PreTrainedModel, target_modules: str | Sequence[str], key: str = "peft.target_modules"
) -> list[str]:
    """Return the paths of the layers that `peft.target_modules` (or another `key`) names, in the model's order.

    `all-linear` means every linear layer except the output embedding; the name of a layer is a list of it; any other
    text is a regular expression that must match a whole path; a list holds names that a path may end with, as in PEFT.
    Raises ConfigError for a name that matches nothing.
    """
    layers = linear_layers(model)
    if target_modules == ALL_LINEAR:
        return list(layers)
    if isinstance(target_modules, str) and any(path.rsplit(".", 1)[-1] == target_modules for path in layers):
        target_modules = [target_modules]
    if isinstance(target_modules, str):
        matched = [path for path in layers if re.fullmatch(target_modules, path)]
        unmatched = [target_modules] if not matched else []
    else:
        matched = [path for path in layers if any(_names(path, name) for name in target_modules)]
        unmatched = [name for name in target_modules if not any(_names(path, name) for path in layers)]
    if unmatched or not matched:
        names = sorted({path.rsplit(".", 1)[-1] for path in layers})
        missing = ", ".join(unmatched) or "an empty list"
        raise ConfigError(
            f"{key}: {missing} matches no linear layer of this model, which has {', '.join(names)}."
            + (did_you_mean(unmatched[0], names) if unmatched else "")
        )
    return matched


def shortest_names(chosen: Sequence[str], layers: Sequence[str]) -> list[str]:
    """Return the last parts of the chosen layers' paths, as is usual in PEFT; whole paths if those are ambiguous."""
    names = {path.rsplit(".", 1)[-1] for path in chosen}
    named = [path for path in layers if path.rsplit(".", 1)[-1] in names]
    return sorted(names) if set(named) == set(chosen) else list(chosen)


def _names(path: str, name: str) -> bool:
    return path == name or path.endswith("." + name)
