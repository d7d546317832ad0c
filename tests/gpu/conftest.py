"""The device under test: the GPU where there is one, else the CPU, so that the tests themselves are tested in CI."""

from __future__ import annotations

import torch

from tests.toolbox import sequences

__all__ = ["DEVICE", "sequences"]

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
