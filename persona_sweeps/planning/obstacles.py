"""What keeps a valid cell from running on this machine, reported before any run starts and without the network."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass

from persona_sweeps.config.schema import Precision, RunConfig
from persona_sweeps.device import (
    BF16_COMPUTE_CAPABILITY,
    cuda_capability,
    device_count,
    resolve_device,
    total_memory_bytes,
)
from persona_sweeps.models.source import Weights


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a valid cell from running on this machine."""

    short: str
    """for a column of the plan, such as no token"""
    sentence: str
    """what is missing, and what to do about it"""


Look = Callable[[RunConfig, Weights], Obstacle | None]


def obstacles(config: RunConfig, weights: Weights) -> tuple[Obstacle, ...]:
    """Return what is in the way of a run on this machine; `weights` says where those of `model=` come from."""
    looks = OF_A_MODEL if config.peft.has_model else OF_A_TOKENIZER
    return tuple(obstacle for look in looks if (obstacle := look(config, weights)) is not None)


def too_large(config: RunConfig, weights_bytes: int, state_bytes: int = 0) -> Obstacle | None:
    """Return an obstacle when a run exceeds the memory of all devices together, however small its passes.

    That is when the weights of the base model do, with what is trained, its gradients and its optimizer.
    """
    device = resolve_device(config.device)
    memory = total_memory_bytes(device)
    if memory is None or weights_bytes + state_bytes <= memory:
        return None
    gpus = "the GPU has" if device_count() == 1 else f"the {device_count()} GPUs have together"
    where = gpus if device == "cuda" else "this machine has"
    method = config.quantization.method
    stored = config.train.precision.value if method == "none" else method
    training = f" and {state_bytes / 1e9:.1f} GB to train peft={config.peft.method}" if state_bytes else " alone"
    can_shrink = method not in ("nf4", "fp4") and not config.peft.owns_base
    quantize = "quantization=nf4, " if can_shrink else ""
    return Obstacle(
        "too little memory",
        f"{config.model.name} in {stored} takes {weights_bytes / 1e9:.1f} GB of weights{training}, "
        f"and {where} {memory / 1e9:.1f} GB: choose {quantize}a smaller model, or rehearse with model.scale=tiny.",
    )


def _no_gpu(config: RunConfig, weights: Weights) -> Obstacle | None:
    if resolve_device(config.device) == "cuda" and cuda_capability() is None:
        return Obstacle("no CUDA", "device=cuda, but there is no CUDA device here: drop it, or set device=cpu.")
    return None


def _no_bf16_units(config: RunConfig, weights: Weights) -> Obstacle | None:
    capability = cuda_capability()
    if config.train.precision is not Precision.bf16 or resolve_device(config.device) != "cuda" or capability is None:
        return None
    if capability >= BF16_COMPUTE_CAPABILITY:
        return None
    return Obstacle(
        "no bf16",
        f"train.precision=bf16 needs a GPU of compute capability {BF16_COMPUTE_CAPABILITY}.0 or newer, and this one "
        f"has {capability}: set train.precision=fp32.",
    )


def _no_weights(config: RunConfig, weights: Weights) -> Obstacle | None:
    """A gated model without a token, or one that isn't here where the Hub must not be asked."""
    if weights.is_here:
        return None
    from huggingface_hub import get_token, try_to_load_from_cache

    card = config.model
    cached = try_to_load_from_cache(card.hub_id, "config.json", revision=card.revision)
    if isinstance(cached, str):
        return None
    ways = "set model.hub_id to a local folder that has it, or rehearse with model.scale=tiny"
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        return Obstacle(
            "HF_HUB_OFFLINE", f"{card.hub_id} is not on this machine and HF_HUB_OFFLINE is set: unset it, {ways}."
        )
    if card.gated and not get_token():
        return Obstacle(
            "no token",
            f"{card.hub_id} is gated and there is no token: accept its licence on the Hub and set HF_TOKEN, {ways}.",
        )
    return None


def _no_bitsandbytes(config: RunConfig, weights: Weights) -> Obstacle | None:
    if config.quantization.method == "none" or importlib.util.find_spec("bitsandbytes") is not None:
        return None
    return Obstacle(
        "no bitsandbytes",
        f"quantization={config.quantization.method} needs bitsandbytes, which is not installed: "
        "pip install 'persona-sweeps[quantization]', or set quantization=none.",
    )


OF_A_MODEL: tuple[Look, ...] = (_no_gpu, _no_bf16_units, _no_bitsandbytes, _no_weights)
OF_A_TOKENIZER: tuple[Look, ...] = (_no_weights,)
"""the tokenizer alone is needed where there is no model; it comes from where the weights do"""
