"""Choose devices for a base model's weights: one, or all GPUs if the weights are too large for the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from persona_sweeps.device import device_count, devices_for
from persona_sweeps.errors import UserError
from persona_sweeps.models.quantization import predicted_bytes
from persona_sweeps.models.skeleton import skeleton

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from persona_sweeps.config.schema import ModelConfig, QuantizationConfig


@dataclass(frozen=True, slots=True)
class Placement:
    """The arguments of from_pretrained that choose devices for a model's weights."""

    device_map: str
    max_memory: dict[int | str, int] | None = None
    """bytes that each device may hold; a device not named here holds no weights"""


def placement_of(card: ModelConfig, quantization: QuantizationConfig, dtype: torch.dtype, device: str) -> Placement:
    """Return the devices of the card's model, as the plan predicts them; `device` is cpu or cuda."""
    if device != "cuda" or device_count() < 2:
        return Placement(device)
    return spread(predicted_bytes(skeleton(card), quantization, dtype.itemsize), device)


def spread(weights_bytes: int, device: str) -> Placement:
    """Return the one device, or the memory limits with which accelerate divides the layers over several GPUs.

    The limits name GPUs only: a layer that accelerate offloads to the CPU is on no device between computations, so no
    adapter could be trained beside it.
    """
    count = devices_for(weights_bytes, device)
    return Placement(device) if count == 1 else Placement("auto", {index: free_bytes(index) for index in range(count)})


def free_bytes(gpu: int) -> int:
    """Return how many bytes of a GPU's memory are free."""
    import torch

    return torch.cuda.mem_get_info(gpu)[0]


def check_all_placed(model: PreTrainedModel, card: ModelConfig) -> None:
    """Raise UserError if the devices had no room for some of the layers."""
    left_over = [name for name, device in getattr(model, "hf_device_map", {}).items() if device == "disk"]
    if left_over:
        raise UserError(
            f"model={card.name} doesn't fit into the GPUs' free memory: {left_over[0]} and what follows it has no "
            "room. Free some memory, or choose quantization=nf4 or a smaller model."
        )
