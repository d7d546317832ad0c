"""How this process works on a GPU: on a stream of its own, adding up in the same order each time."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

import torch

# cuBLAS reads it when the process uses it first, and torch asks for it before it promises a fixed order.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


class GpuWork:
    """Work on a GPU that can be recorded and repeated to the bit; on a CPU there is nothing to do for that."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = _stream(device) if device.type == "cuda" else None

    @contextlib.contextmanager
    def __call__(self, *, fixed_order: bool = True) -> Iterator[None]:
        """Within the block this thread works on the stream, and only with kernels that add up in a fixed order.

        Without `fixed_order` it works with any kernels: sampling needs some that have no such order.
        What was begun before has ended when the block's work begins, and that has ended when what follows begins.
        Other threads, such as those in which transformers loads weights, stay on the default stream.
        """
        if self._stream is None or torch.cuda.current_stream(self.device) == self._stream:
            yield
            return
        outside = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(outside)
        with torch.cuda.stream(self._stream), _fixed_order() if fixed_order else contextlib.nullcontext():
            yield
        outside.wait_stream(self._stream)


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return this process's stream: nothing can be recorded on the default one, and each has memory of its own."""
    return torch.cuda.Stream(device)


@contextlib.contextmanager
def _fixed_order() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    settings: Any = torch.utils.deterministic
    filled = settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    # That fills new tensors for those who read them too early; nothing here does.
    settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        settings.fill_uninitialized_memory = filled
