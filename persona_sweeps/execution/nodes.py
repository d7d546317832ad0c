"""Which nodes are given no more jobs, since they keep losing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

BAD = 2
"""jobs lost on a node, with none that ended well there in between"""


class Nodes:
    """What is known of the nodes that jobs were on. A run that kills every job isn't to cost a sweep its nodes."""

    def __init__(self, avoid: Callable[[str], None]) -> None:
        """`avoid` keeps jobs away from a node."""
        self._avoid = avoid
        self._seen: set[str] = set()
        self._avoided: set[str] = set()
        self._lost: Counter[str] = Counter()

    def saw(self, node: str) -> None:
        """Take note of a node that a job is on."""
        self._seen.add(node)

    def worked(self, node: str) -> None:
        """Take note of a job that ended well."""
        self._lost.pop(node, None)

    def lost(self, node: str) -> str | None:
        """Take note of a lost job; return a sentence when its node is avoided from now on.

        The last of those that have been seen never is, or nothing would be left to run on.
        """
        if not node or node in self._avoided:
            return None
        self._seen.add(node)
        self._lost[node] += 1
        if self._lost[node] < BAD or self._seen <= self._avoided | {node}:
            return None
        self._avoided.add(node)
        self._avoid(node)
        return f"{self._lost[node]} jobs were lost on {node}: it is given no more."
