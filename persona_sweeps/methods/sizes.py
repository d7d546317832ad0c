"""How many parameters a method trains on a base model: counted from shapes alone, so on the meta device too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel

from persona_sweeps.config.schema import LoraConfig, PeftConfig, PTuningConfig
from persona_sweeps.errors import ConfigError
from persona_sweeps.methods.full import language_parameters
from persona_sweeps.methods.ia3 import scaled_layers
from persona_sweeps.models.layers import features, linear_layers, target_paths

Size = Callable[[PreTrainedModel, Any], int]


def _nothing(model: PreTrainedModel, config: Any) -> int:
    return 0


def _lora(model: PreTrainedModel, config: Any) -> int:
    layers = linear_layers(model)
    paths = target_paths(model, config.target_modules)
    widths = [features(layers[path]) for path in paths]
    narrowest = min(paths, key=lambda path: min(features(layers[path])))
    if config.init != "default" and config.r > (limit := min(features(layers[narrowest]))):
        raise ConfigError(
            f"peft.init={config.init} takes at most as many directions as a weight has, and {narrowest} has {limit}: "
            f"lower peft.r={config.r} to {limit}, or set peft.init=default."
        )
    magnitudes = sum(outputs for _, outputs in widths) if config.method == "dora" else 0
    return config.r * sum(inputs + outputs for inputs, outputs in widths) + magnitudes


def _ia3(model: PreTrainedModel, config: Any) -> int:
    layers = linear_layers(model)
    outputs, inputs = scaled_layers(model, config)
    return sum(features(layers[path])[1] for path in outputs) + sum(features(layers[path])[0] for path in inputs)


def _prompt(model: PreTrainedModel, config: Any) -> int:
    return config.num_virtual_tokens * model.config.get_text_config().hidden_size


def _prefix(model: PreTrainedModel, config: Any) -> int:
    text = model.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return config.num_virtual_tokens * text.num_hidden_layers * 2 * heads * head_dim


def _p_tuning(model: PreTrainedModel, config: Any) -> int:
    """The embeddings, and a network of three layers with biases."""
    outside, inside = model.config.get_text_config().hidden_size, config.encoder_hidden_size
    network = (outside + 1) * inside + (inside + 1) * inside + (inside + 1) * outside
    return _prompt(model, config) + network


def _lora_prompt(model: PreTrainedModel, config: Any) -> int:
    return _lora(model, config) + _prompt(model, config)


def _full(model: PreTrainedModel, config: Any) -> int:
    return sum(parameter.numel() for parameter in language_parameters(model).values())


SIZES: dict[str, Size] = {
    "none": _nothing,
    "few_shot": _nothing,
    "nearest_reply": _nothing,
    "lora": _lora,
    "rslora": _lora,
    "dora": _lora,
    "ia3": _ia3,
    "prompt_tuning": _prompt,
    "prefix_tuning": _prefix,
    "p_tuning": _p_tuning,
    "lora_prompt": _lora_prompt,
    "full": _full,
}
"""peft.method → its number of trainable parameters"""


def saved_parameters(model: PreTrainedModel, config: PeftConfig) -> int:
    """Return how many numbers an exported adapter has."""
    if isinstance(config, PTuningConfig):
        return _prompt(model, config)
    if isinstance(config, LoraConfig) and config.init != "default":
        starts = _lora(model, replace(config, method="lora", init="default"))
        return trainable_parameters(model, config) + starts
    return trainable_parameters(model, config)


def trainable_parameters(model: PreTrainedModel, config: PeftConfig) -> int:
    """Return how many parameters an adapter has. Raises ConfigError for targets that match nothing."""
    return SIZES[config.method](model, config)
