"""What keeps a valid cell from working on this machine, told before any run starts and without asking the network."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

from persona_sweeps.config.schema import Precision, RunConfig
from persona_sweeps.device import (
    BF16_COMPUTE_CAPABILITY,
    cuda_capability,
    device_count,
    resolve_device,
    total_memory_bytes,
)
from persona_sweeps.models.source import locate

Obstacle = Callable[[RunConfig], str | None]
"""returns a sentence, or None when there is nothing in the way"""


def obstacles(config: RunConfig) -> list[str]:
    """Return a sentence for each thing in the way of a run."""
    looks = OBSTACLES if config.peft.has_model else OF_A_TOKENIZER
    return [sentence for look in looks if (sentence := look(config))]


def too_large(config: RunConfig, weights_bytes: int) -> str | None:
    """Say so when the base model's weights alone exceed the memory of all devices together."""
    device = resolve_device(config.device)
    memory = total_memory_bytes(device)
    if memory is None or weights_bytes <= memory:
        return None
    gpus = "the GPU has" if device_count() == 1 else f"the {device_count()} GPUs have together"
    where = gpus if device == "cuda" else "this machine has"
    method = config.quantization.method
    stored = config.train.precision.value if method == "none" else method
    can_shrink = method not in ("nf4", "fp4") and not config.peft.owns_base
    quantize = "quantization=nf4, " if can_shrink else ""
    return (
        f"{config.model.name} in {stored} takes {weights_bytes / 1e9:.1f} GB of weights alone, "
        f"and {where} {memory / 1e9:.1f} GB: choose {quantize}a smaller model, or rehearse with model.scale=tiny."
    )


def _no_gpu(config: RunConfig) -> str | None:
    if resolve_device(config.device) == "cuda" and cuda_capability() is None:
        return "device=cuda, but there is no CUDA device here: drop it, or set device=cpu."
    return None


def _no_bf16_units(config: RunConfig) -> str | None:
    capability = cuda_capability()
    if config.train.precision is not Precision.bf16 or resolve_device(config.device) != "cuda" or capability is None:
        return None
    if capability >= BF16_COMPUTE_CAPABILITY:
        return None
    return (
        f"train.precision=bf16 needs a GPU of compute capability {BF16_COMPUTE_CAPABILITY}.0 or newer, and this one "
        f"has {capability}: set train.precision=fp32."
    )


def _no_weights(config: RunConfig) -> str | None:
    """A gated model without a token, or one that isn't here where the Hub must not be asked."""
    from huggingface_hub import get_token, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    card = config.model
    if locate(card).is_here:
        return None
    try:
        cached = try_to_load_from_cache(card.hub_id, "config.json", revision=card.revision)
    except HFValidationError:
        return (
            f"model.hub_id={card.hub_id} is neither a folder here nor a Hub id, which reads owner/name: mend the path, "
            "or drop it to have the card's own model."
        )
    if isinstance(cached, str):
        return None
    ways = "set model.hub_id to a local folder that has it, or rehearse with model.scale=tiny"
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        return f"{card.hub_id} is not on this machine and HF_HUB_OFFLINE is set: unset it, {ways}."
    if card.gated and not get_token():
        return f"{card.hub_id} is gated and there is no token: accept its licence on the Hub and set HF_TOKEN, {ways}."
    return None


def _no_bitsandbytes(config: RunConfig) -> str | None:
    if config.quantization.method == "none" or importlib.util.find_spec("bitsandbytes") is not None:
        return None
    return (
        f"quantization={config.quantization.method} needs bitsandbytes, which is not installed: "
        "pip install 'persona-sweeps[quantization]', or set quantization=none."
    )


OBSTACLES: tuple[Obstacle, ...] = (_no_gpu, _no_bf16_units, _no_bitsandbytes, _no_weights)
OF_A_TOKENIZER: tuple[Obstacle, ...] = (_no_weights,)
"""the tokenizer alone is needed where there is no model; it comes from where the weights do"""
