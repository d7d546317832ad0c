"""Where a base model's weights go: on one device, or spread over all GPUs where they are too large for the first."""

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
    """What from_pretrained takes to put a model's weights somewhere."""

    device_map: str
    max_memory: dict[int | str, int] | None = None
    """bytes that each device may give; what isn't named here gets no weights"""


def place(card: ModelConfig, quantization: QuantizationConfig, dtype: torch.dtype, device: str) -> Placement:
    """Return where the card's model goes, as the plan has told it; `device` is cpu or cuda."""
    if device != "cuda" or device_count() < 2:
        return Placement(device)
    return spread(predicted_bytes(skeleton(card), quantization, dtype.itemsize), device)


def spread(weights_bytes: int, device: str) -> Placement:
    """Return the one device, or what lets accelerate divide the layers evenly among as many as are needed.

    It gets the GPUs' memory alone: what it put on the CPU would be on no device while nothing computes with it, and
    adapters couldn't be trained beside it.
    """
    count = devices_for(weights_bytes, device)
    return Placement(device) if count == 1 else Placement("auto", {index: free_bytes(index) for index in range(count)})


def free_bytes(gpu: int) -> int:
    """Return how much of a GPU's memory nobody holds."""
    import torch

    return torch.cuda.mem_get_info(gpu)[0]


def check_all_placed(model: PreTrainedModel, card: ModelConfig) -> None:
    """Raise UserError when the devices had no room for some of the layers."""
    left_over = [name for name, device in getattr(model, "hf_device_map", {}).items() if device == "disk"]
    if left_over:
        raise UserError(
            f"model={card.name}: the GPUs' free memory doesn't hold all of it, nothing from {left_over[0]} on: free "
            "some, or choose quantization=nf4 or a smaller model."
        )
