"""(IA)³: which layers it scales, and the stacked factors of many trials."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from persona_sweeps.config.schema import Ia3Config
from persona_sweeps.errors import ConfigError
from persona_sweeps.methods.stacked import Stacked, stacked
from persona_sweeps.methods.weights import Adapter, Ia3Weights
from persona_sweeps.models.layers import features, linear_layers, target_paths


def scaled_layers(model: PreTrainedModel, config: Ia3Config) -> tuple[list[str], list[str]]:
    """Return the paths of the layers whose outputs, and whose inputs, are scaled.

    Where the config names none, they are what PEFT chooses for the architecture. Raises ConfigError when it has no
    choice, or for names that match nothing.
    """
    targets, feedforward = config.target_modules, config.feedforward_modules
    if targets is None:
        targets, feedforward = _usual(model.config.get_text_config().model_type)
    chosen = target_paths(model, targets)
    inner = set(target_paths(model, feedforward, "peft.feedforward_modules")) if feedforward else set()
    if strangers := sorted(inner - set(chosen)):
        raise ConfigError(
            f"peft.feedforward_modules names {strangers[0]}, which peft.target_modules doesn't: name it in both."
        )
    return [path for path in chosen if path not in inner], [path for path in chosen if path in inner]


def _usual(model_type: str) -> tuple[list[str], list[str]]:
    from peft.utils.constants import (
        TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING as FEEDFORWARD,
    )
    from peft.utils.constants import (
        TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING as TARGETS,
    )

    if model_type not in TARGETS:
        raise ConfigError(
            f"peft.target_modules: PEFT has no usual choice of (IA)³ layers for {model_type} models; name them, and "
            "those among them that are inside the MLP in peft.feedforward_modules."
        )
    return TARGETS[model_type], FEEDFORWARD[model_type]


def create_ia3(model: PreTrainedModel, config: Ia3Config) -> Ia3Weights:
    """Return factors of one, with which training starts at the base model, each on its layer's device."""
    layers = linear_layers(model)
    outputs, inputs = scaled_layers(model, config)

    def ones(path: str, side: int) -> nn.Parameter:
        device = next(layers[path].parameters()).device
        return nn.Parameter(torch.ones(features(layers[path])[side], device=device))

    return Ia3Weights({path: ones(path, 1) for path in outputs}, {path: ones(path, 0) for path in inputs})


class Ia3Site:
    """One linear layer whose inputs or outputs z become z + (l − 1) z with each row's own factors l.

    Written so, a factor near one isn't rounded to one in bf16.
    """

    def __init__(self, path: str, module: nn.Module, of_inputs: bool) -> None:
        self.path = path
        self.device = next(module.parameters()).device
        self.of_inputs = of_inputs
        self._factors: Stacked | None = None
        self._scaled = torch.zeros(0)
        self._slots: Tensor | None = None
        if of_inputs:
            self._handle = module.register_forward_pre_hook(self._before)
        else:
            self._handle = module.register_forward_hook(self._after)

    def stack(self, adapters: Sequence[Adapter]) -> None:
        factors = [self._of(adapter) for adapter in adapters]
        self._factors = stacked(factors)
        if self._factors is not None:
            present = [factor is not None for factor in factors]
            self._scaled = torch.tensor(present, device=self._factors.leaf.device)[:, None]

    def refresh(self) -> None:
        pass

    def bind_gradients(self) -> None:
        if self._factors is not None:
            self._factors.bind_gradients()

    def route(self, slots: Tensor | None, dropout: tuple[Tensor, Tensor, Tensor] | None) -> None:
        self._slots = slots

    def close(self) -> None:
        self._handle.remove()

    def _of(self, adapter: Adapter) -> nn.Parameter | None:
        if adapter.ia3 is None:
            return None
        return (adapter.ia3.inputs if self.of_inputs else adapter.ia3.outputs).get(self.path)

    def _before(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (self._scale(inputs[0]), *inputs[1:])

    def _after(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return self._scale(output)

    def _scale(self, states: Tensor) -> Tensor:
        if self._factors is None:
            return states
        growth = torch.where(self._scaled, self._factors.leaf - 1, 0.0)
        if self._slots is not None:
            growth = growth.index_select(0, self._slots)
        return states + growth.to(states.dtype)[:, None] * states
