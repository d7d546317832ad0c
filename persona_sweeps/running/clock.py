"""Wall and CPU seconds of a group, shared out among its members by what each had done."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping


class GroupClock:
    """Runs from its making on; each lap's CPU seconds are shared out at its end."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = defaultdict(float)
        self._joined: dict[int, float] = {}
        self._largest: dict[int, int] = {}
        self._cpu = time.process_time()

    def join(self, index: int) -> None:
        """Start the wall clock of a member."""
        self._joined[index] = time.perf_counter()
        self._largest[index] = 1

    def credit(self, index: int, wall: float, cpu: float) -> None:
        """Count what a member had taken before it was interrupted."""
        self._joined[index] -= wall
        self._seconds[index] += cpu

    def lap(self, work: Mapping[int, float]) -> None:
        """End a stage, in which each of these members did this much work."""
        cpu = time.process_time()
        total = sum(work.values()) or 1
        for index, part in work.items():
            self._seconds[index] += (cpu - self._cpu) * part / total
            self._largest[index] = max(self._largest[index], len(work))
        self._cpu = cpu

    def share(self, index: int) -> dict[str, float]:
        """Return a member's wall seconds so far, its share of the CPU seconds, and the most that shared a stage."""
        return {
            "wall_seconds": time.perf_counter() - self._joined[index],
            "cpu_seconds": self._seconds[index],
            "group_size": self._largest[index],
        }
