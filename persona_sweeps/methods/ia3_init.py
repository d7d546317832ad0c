"""Choose the layers that (IA)³ scales, and make its initial factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import PreTrainedModel

from persona_sweeps.errors import ConfigError
from persona_sweeps.methods.ia3_layers import Ia3Weights
from persona_sweeps.models.layers import features, linear_layers, target_paths

if TYPE_CHECKING:
    from persona_sweeps.methods.ia3 import Ia3


def scaled_layers(model: PreTrainedModel, config: Ia3) -> tuple[list[str], list[str]]:
    """Return the paths of the layers whose outputs are scaled, and of those whose inputs are scaled.

    If the config names none, they are PEFT's choice for the architecture. Raises ConfigError if PEFT has no choice, and
    for names that match nothing.
    """
    targets, feedforward = config.target_modules, config.feedforward_modules
    if targets is None:
        targets, feedforward = _default_modules(model.config.get_text_config().model_type)
    chosen = target_paths(model, targets)
    inner = set(target_paths(model, feedforward, "peft.feedforward_modules")) if feedforward else set()
    if not_targets := sorted(inner - set(chosen)):
        raise ConfigError(
            f"peft.feedforward_modules names {not_targets[0]}, which peft.target_modules doesn't: name it in both."
        )
    return [path for path in chosen if path not in inner], [path for path in chosen if path in inner]


def _default_modules(model_type: str) -> tuple[list[str], list[str]]:
    from peft.utils.constants import (
        TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING as FEEDFORWARD,
    )
    from peft.utils.constants import (
        TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING as TARGETS,
    )

    if model_type not in TARGETS:
        raise ConfigError(
            f"peft.target_modules: PEFT has no default (IA)³ layers for {model_type} models; name them, and name those "
            "of them that are inside the MLP in peft.feedforward_modules."
        )
    return TARGETS[model_type], FEEDFORWARD[model_type]


def create_ia3(model: PreTrainedModel, config: Ia3) -> Ia3Weights:
    """Return factors of 1, which leave the base model unchanged, each on its layer's device."""
    layers = linear_layers(model)
    outputs, inputs = scaled_layers(model, config)

    def ones(path: str, side: int) -> nn.Parameter:
        device = next(layers[path].parameters()).device
        return nn.Parameter(torch.ones(features(layers[path])[side], device=device))

    return Ia3Weights({path: ones(path, 1) for path in outputs}, {path: ones(path, 0) for path in inputs})
