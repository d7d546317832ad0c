"""Manage the memory of the process and its device: keep freed memory, detect its exhaustion, and release it."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from functools import cache
from pathlib import Path

from persona_sweeps.errors import TrialError

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # mallopt(3)
_LARGEST_MMAP_THRESHOLD = 32 << 20

GROWTH = 1.15

_OUT_OF_MEMORY_TEXTS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "std::bad_alloc",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""texts of plain RuntimeErrors that mean out of memory: from torch's CPU allocator, C++, and CUDA's libraries"""


@cache
def keep_freed_memory() -> bool:
    """Set glibc to keep large freed blocks, not to return them to the system; return whether that succeeded.

    By default a block of megabytes is mapped afresh at each allocation, and the kernel zeroes it page by page: a tenth
    of a training step's CPU time. Blocks above 32 MiB are always mapped afresh.
    """
    libc = _glibc()
    if libc is None:
        return False
    settings = ((_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 << 20))
    return all(libc.mallopt(option, value) == 1 for option, value in settings)


class HeapWatch:
    """Returns freed memory to the system once it is too fragmented for new tensors.

    Freed memory is kept, so after its largest step the process holds what that step needed. Each step has tensors of
    other sizes, so fragmentation makes the process grow to twice that size. Therefore a step that ends above `GROWTH`
    times the largest need is followed by a trim.
    """

    def __init__(self) -> None:
        self._needed = 0
        self._trimmed = True

    def after_step(self) -> bool:
        """Trim the heap if needed; return whether it was trimmed."""
        resident, libc = _resident_bytes(), _glibc()
        if resident is None or libc is None:
            return False
        if self._trimmed:  # nothing was left over when this step began, so it needed all that is resident
            self._needed = max(self._needed, resident)
        self._trimmed = resident > GROWTH * self._needed
        if self._trimmed:
            libc.malloc_trim(0)
        return self._trimmed


def _resident_bytes() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means out of memory: the GPU's, Python's, or torch's CPU allocator's.

    If the kernel has promised more memory than it has (Linux's overcommit), it kills the process: nothing is raised.
    """
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY_TEXTS)


def with_advice(error: Exception) -> Exception:
    """Return an error with advice if memory ran out outside any pass; any other error unchanged."""
    if not is_out_of_memory(error):
        return error
    explained = TrialError(
        "the base model with this run's adapter and optimizer does not fit into memory, however small the batch: "
        "choose quantization=nf4, a smaller adapter or a smaller model"
    )
    explained.__cause__ = error
    return explained


def release_memory() -> None:
    """Collect reference cycles, and return free memory to the GPU and the system."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    """Return the C library if it is glibc, or else None."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL("libc.so.6")
        return libc if libc.mallopt and libc.malloc_trim else None
    except (OSError, AttributeError):
        return None
