"""What a result took: its training by the run's record, its evaluation by the evaluation's."""

from __future__ import annotations

from collections.abc import Iterable

from ..read.results import RunResult

PARTS = ("resources", "evaluation.resources")
"""of training, and of evaluation"""


def cpu_seconds(result: RunResult) -> float | None:
    """Return the CPU seconds of training and evaluation together; None where neither is known."""
    known = [seconds for part in PARTS if (seconds := result.number(f"{part}.cpu_seconds")) is not None]
    return sum(known) if known else None


def peak_bytes(result: RunResult) -> float | None:
    """Return the most memory held while training or evaluating: of the GPUs if it ran on one, else of the process."""
    peaks = [result.number(f"{part}.{_peak(result, part)}") for part in PARTS]
    return max((peak for peak in peaks if peak is not None), default=None)


def weights_bytes(result: RunResult) -> float | None:
    """Return what the loaded base model takes."""
    sizes = (result.number(f"{part}.weights_bytes") for part in PARTS)
    return next((size for size in sizes if size is not None), None)


def devices(results: Iterable[RunResult]) -> list[str]:
    """Return what results ran on, sorted."""
    found = (result.get(f"{part}.device") for result in results for part in PARTS)
    return sorted({str(device) for device in found if device})


def _peak(result: RunResult, part: str) -> str:
    on_gpu = str(result.get(f"{part}.device", "")).startswith("cuda")
    return "peak_device_bytes" if on_gpu else "peak_rss_bytes"
