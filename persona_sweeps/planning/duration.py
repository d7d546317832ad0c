"""Estimate how long runs take on this machine, from what they compute and how fast it was measured to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from persona_sweeps.planning.speed import Speed

SHARE = 0.5
"""of the speed of matrix products that a pass reaches, with its attention, norms and the loss: a round figure, by which
the demonstration was forecast to take 9 minutes on two CPU cores, and took 7"""
BACKWARD = 3
"""small operations of a pass with its backward, as multiples of those forward"""


@dataclass(frozen=True, slots=True)
class Work:
    """What a run computes, training, scoring and generating; `calls` are small operations that its group shares."""

    training_flops: float = 0.0
    scoring_flops: float = 0.0
    generating_flops: float = 0.0
    calls: float = 0.0

    @property
    def flops(self) -> float:
        return self.training_flops + self.scoring_flops + self.generating_flops


def group_seconds(works: Sequence[Work], speed: Speed) -> float:
    """Return about how many seconds a group takes, whose runs share their passes."""
    many = sum(work.training_flops + work.scoring_flops for work in works) / (SHARE * speed.flops)
    few = sum(work.generating_flops for work in works) / (SHARE * speed.few_rows_flops)
    return many + few + max((work.calls for work in works), default=0.0) * speed.call_seconds
