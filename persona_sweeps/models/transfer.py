"""Copy what the host has prepared to the device, without waiting for what the device still computes."""

from __future__ import annotations

import torch
from torch import Tensor


def on_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor of the host on a device; a GPU copies it when its turn comes."""
    return in_pinned_memory(tensor, device).to(device, non_blocking=True)


def in_pinned_memory(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor of the host in memory from which a GPU can copy without the host; for a CPU, as it is."""
    return tensor if torch.device(device).type != "cuda" or tensor.is_pinned() else tensor.pin_memory()
