"""The memory of the process and its device: keep what is freed, know when it runs out, and hand it back."""

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
"""how a RuntimeError that has no type of its own says so: torch's CPU allocator, C++, and CUDA's libraries"""


@cache
def keep_freed_memory() -> bool:
    """Tell glibc not to hand large blocks back to the system at every free; return whether it took the hint.

    By default a block of megabytes is mapped afresh at each allocation, and the kernel zeroes it page by page: a
    tenth of a training step's CPU time. Blocks above 32 MiB are mapped all the same.
    """
    libc = _glibc()
    if libc is None:
        return False
    settings = ((_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 << 20))
    return all(libc.mallopt(option, value) == 1 for option, value in settings)


class HeapWatch:
    """Hands freed memory back once it lies about in pieces that new tensors don't fit into.

    Since freed memory is kept, what the process holds after its largest step is what that step took. Steps have tensors
    of ever other sizes, so what is held goes on growing, to twice as much; a step that ends above `GROWTH` times the
    largest is followed by a trim.
    """

    def __init__(self) -> None:
        self._needed = 0
        self._trimmed = True

    def after_step(self) -> bool:
        """Return whether what is free was handed back."""
        held, libc = _resident_bytes(), _glibc()
        if held is None or libc is None:
            return False
        if self._trimmed:  # nothing was left over when this step began: it needed what it holds
            self._needed = max(self._needed, held)
        self._trimmed = held > GROWTH * self._needed
        if self._trimmed:
            libc.malloc_trim(0)
        return self._trimmed


def _resident_bytes() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: the GPU's, Python's, or that of torch's CPU allocator.

    A kernel that promises more memory than it has (Linux's overcommit) kills the process instead: nothing is raised.
    """
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY_TEXTS)


def in_plain_words(error: Exception) -> Exception:
    """Return an error that says what to do where memory ran out outside any pass; any other error as it is."""
    if not is_out_of_memory(error):
        return error
    told = TrialError(
        "the base model with this run's adapter and optimizer does not fit into memory, however small the batch: "
        "choose quantization=nf4, a smaller adapter or a smaller model"
    )
    told.__cause__ = error
    return told


def release_memory() -> None:
    """Collect what only reference cycles hold, and hand free memory back to the GPU and the system."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    """Return the C library where it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL("libc.so.6")
        return libc if libc.mallopt and libc.malloc_trim else None
    except (OSError, AttributeError):
        return None
