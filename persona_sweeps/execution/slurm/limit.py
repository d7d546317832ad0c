"""How many of a sweep's SLURM jobs run at once: one limit over all its arrays, and over jobs that stand alone.

SLURM limits an array by itself, and jobs that ask for different resources are different arrays. So each array gets a
share of the limit, which follows what the arrays have left; and jobs without an array wait for one another in lanes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping


def shares(limit: int, left: Mapping[str, int]) -> dict[str, int]:
    """Return how many jobs of each array may run at once, given how many each has `left`.

    Each array that has any left gets one, and the rest goes one by one to the array with the most left for each of its
    shares. With more arrays than the limit allows, that is more than the limit: an array can't be limited to none.
    """
    found = {array: 1 for array, count in left.items() if count}
    for _ in range(limit - len(found)):
        wanting = [array for array, share in found.items() if share < left[array]]
        if not wanting:
            break
        found[max(wanting, key=lambda array: left[array] / found[array])] += 1
    return found


class Lanes:
    """Jobs that wait for one another, so that at most `limit` run at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ends: deque[str] = deque()
        """the last job of each lane, the oldest first"""

    def ahead(self, over: Callable[[str], bool]) -> str | None:
        """Return the job that the next one has to wait for; None while there is room. `over` knows which have ended."""
        self._ends = deque(job for job in self._ends if not over(job))
        return self._ends.popleft() if len(self._ends) >= self._limit else None

    def add(self, job: str) -> None:
        """Take note of the job that `ahead` was asked for."""
        self._ends.append(job)
