"""Measure the peak memory since a group began, of the process and on its GPUs."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_HIGH_WATER_MARK = "5"  # proc(5)


def restart_peaks() -> None:
    """Release free memory, and measure the peaks from now on.

    Only Linux can reset a process's high-water mark; on other systems the peak is that since the process began.
    """
    import torch

    from persona_sweeps.training.memory import release_memory

    release_memory()
    with contextlib.suppress(OSError):
        _CLEAR_REFS.write_text(_RESET_HIGH_WATER_MARK)
    if torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)


def peak_rss_bytes() -> int:
    """Return the largest resident memory of this process since `restart_peaks`."""
    with contextlib.suppress(OSError, StopIteration):
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_device_bytes() -> int | None:
    """Return the peak of tensors' bytes on all GPUs since `restart_peaks`; None without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    return sum(torch.cuda.max_memory_allocated(index) for index in range(torch.cuda.device_count()))
