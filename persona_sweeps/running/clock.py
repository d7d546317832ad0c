"""Measure the wall and CPU seconds of a group, and divide them among its runs by the work of each."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping


class GroupClock:
    """A clock that runs from its creation; each lap's CPU seconds are divided among the runs at its end."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._joined: dict[str, float] = {}
        self._largest: dict[str, int] = {}
        self._cpu = time.process_time()

    def join(self, key: str) -> None:
        """Start the wall clock of a run."""
        self._joined[key] = time.perf_counter()
        self._largest[key] = 1

    def credit(self, key: str, wall: float, cpu: float) -> None:
        """Add the seconds that a run took before its interruption."""
        self._joined[key] -= wall
        self._seconds[key] += cpu

    def lap(self, work: Mapping[str, float]) -> None:
        """End a lap; `work` is the work of each run in it, by key."""
        cpu = time.process_time()
        total = sum(work.values()) or 1
        for key, part in work.items():
            self._seconds[key] += (cpu - self._cpu) * part / total
            self._largest[key] = max(self._largest[key], len(work))
        self._cpu = cpu

    def share(self, key: str) -> dict[str, float]:
        """Return a run's wall seconds so far, its share of the CPU seconds, and the most runs that shared a lap."""
        return {
            "wall_seconds": time.perf_counter() - self._joined[key],
            "cpu_seconds": self._seconds[key],
            "group_size": self._largest[key],
        }
