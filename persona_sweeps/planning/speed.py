"""Measure how fast this machine computes: a second of matrix products of a model's widths, kept for the next plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from persona_sweeps.cache import cache_dir
from persona_sweeps.records.files import read_json, write_json
from persona_sweeps.records.provenance import environment

if TYPE_CHECKING:
    import torch

    from persona_sweeps.models.activations import Shape

ROWS, FEW_ROWS = 1024, 16
"""tokens of a pass in training, and of a step of texts that are generated side by side"""
ENOUGH = 0.25
"""seconds that each is measured for"""
ELEMENTWISE = 12
"""operations of a decoder layer beside its matrix products, about"""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a device computes with a model's widths, in one precision."""

    flops: float
    """floating-point operations a second of matrix products with many rows"""
    few_rows_flops: float
    """the same with few rows, where the weights' way through memory counts"""
    call_seconds: float
    """of a small operation: what a pass costs however short it is"""


def measured_speed(shape: Shape, dtype: torch.dtype, device: str) -> Speed:
    """Return the speed of this machine, from the cache or measured now, in about a second."""
    import torch

    threads = torch.get_num_threads()
    where = torch.cuda.get_device_name() if device == "cuda" else f"{environment()['host_cpu']}, {threads} threads"
    key = f"{where}, torch {torch.__version__}, {str(dtype).rpartition('.')[2]}, {shape.hidden} × {shape.intermediate}"
    path = cache_dir() / "speed.json"
    known = read_json(path) or {}
    try:
        return Speed(**known[key])
    except (KeyError, TypeError):
        found = _measure(shape, dtype, device)
        write_json(path, {**known, key: asdict(found)})
        return found


def _measure(shape: Shape, dtype: torch.dtype, device: str) -> Speed:
    import torch

    weight = torch.randn(shape.hidden, shape.intermediate, device=device).to(dtype)
    small = torch.ones(8, device=device)

    def products(rows: int) -> float:
        inputs = torch.randn(rows, shape.hidden, device=device).to(dtype)
        return 2.0 * inputs.numel() * shape.intermediate / _seconds(lambda: inputs @ weight, device)

    return Speed(products(ROWS), products(FEW_ROWS), _seconds(lambda: small + small, device))


def _seconds(operation: Callable[[], object], device: str) -> float:
    """Return how long an operation takes, the least of several rounds: neighbours only ever slow it down."""
    import torch

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    operation()
    count, best, began = 1, float("inf"), time.perf_counter()
    while time.perf_counter() - began < ENOUGH:
        wait()
        start = time.perf_counter()
        for _ in range(count):
            operation()
        wait()
        taken = time.perf_counter() - start
        best = min(best, taken / count)
        count = count if taken > ENOUGH / 20 else count * 2
    return best
