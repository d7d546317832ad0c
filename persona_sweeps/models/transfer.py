"""Copy what the host has prepared to the device, without waiting for what the device still computes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def on_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor of the host on a device. From pinned memory a GPU copies it when its turn comes."""
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def together(arrays: Mapping[str, np.ndarray], device: torch.device | str) -> dict[str, Tensor]:
    """Return arrays of int64 as tensors on a device, in one copy."""
    parts = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    flat = np.concatenate([part.ravel() for part in parts.values()])
    pieces = on_device(torch.from_numpy(flat), device).split([part.size for part in parts.values()])
    return {name: piece.view(part.shape) for (name, part), piece in zip(parts.items(), pieces, strict=True)}
