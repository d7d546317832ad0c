"""What the device itself can do: the rate of its matrix products and of its memory, which nothing exceeds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

PRODUCTS = {"cuda": 8192, "cpu": 1024}
"""rows and columns of the matrices that are multiplied"""
COPIED = {"cuda": 4 << 30, "cpu": 64 << 20}
"""bytes"""
REPEATS = 10


def ceilings(device: str) -> dict[str, Any]:
    """Return the measured rates of a large bf16 product (fp32 on a CPU) and of a copy within the device's memory."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    size = PRODUCTS[device]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = median_seconds(lambda: left @ right, device)
    source = torch.empty(COPIED[device], dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    copying = median_seconds(lambda: target.copy_(source), device)
    return {
        "matrix_tflops": 2 * size**3 / seconds / 1e12,
        "copied_tb_per_second": 2 * source.numel() / copying / 1e12,
        "launch_microseconds": 1e6 * _launch_seconds(device),
    }


def median_seconds(work: Callable[[], object], device: str) -> float:
    """Return the median time of the work over some repeats, after three that don't count."""
    found = []
    for repeat in range(3 + REPEATS):
        finish(device)
        start = time.perf_counter()
        work()
        finish(device)
        found.append(time.perf_counter() - start)
        del repeat
    return statistics.median(found[3:])


def _launch_seconds(device: str) -> float:
    """Return the time that Python takes to start one small operation."""
    small, count = torch.zeros(8, device=device), 1000
    return median_seconds(lambda: [small.add_(1) for _ in range(count)], device) / count


def finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def start_watching_memory(device: str) -> None:
    """Forget the peak so far."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_bytes(device: str) -> int | None:
    """Return the most bytes that torch held at once since the watch began; None on a CPU."""
    return torch.cuda.max_memory_reserved() if device == "cuda" else None


def description(device: str) -> dict[str, Any]:
    """Return the device's name and memory."""
    if device != "cuda":
        return {"name": "CPU"}
    properties = torch.cuda.get_device_properties(0)
    return {"name": properties.name, "memory_bytes": properties.total_memory, "cuda": torch.version.cuda}
