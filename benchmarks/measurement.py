"""The measurement of one training, and its stopwatch."""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Measurement:
    """CPU seconds of all threads of the process while it trained, and what it trained on."""

    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    steps: int = 0
    """optimizer steps, of all trials together"""
    token_slots: int = 0
    """token slots that the model computed: with padding for TRL, the nodes of packed rows for the engine"""
    threads: int = 0
    losses: list[list[float]] = field(default_factory=list)
    """mean NLL in nats of each trial's steps"""
    step_ends: list[float] = field(default_factory=list)
    """when each step of the last trials had ended, in seconds from anywhere"""

    @property
    def first_losses(self) -> list[float]:
        return [losses[0] for losses in self.losses]

    @property
    def seconds_a_step(self) -> float:
        """The median of the second half of the steps: what is prepared only once is over by then."""
        later = self.step_ends[len(self.step_ends) // 2 - 1 :]
        return statistics.median(end - start for start, end in itertools.pairwise(later))

    def step_ended(self) -> None:
        """Note the time, once a GPU has done the step."""
        _finish()
        self.step_ends.append(time.perf_counter())

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time that the block takes, with what it left for a GPU to do."""
        gc.collect()
        _finish()
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        _finish()
        self.cpu_seconds += time.process_time() - cpu
        self.wall_seconds += time.perf_counter() - wall


def _finish() -> None:
    """Wait for the GPU, if one is in use."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
