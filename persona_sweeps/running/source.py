"""Where the runs of a group come from, and who is told what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from persona_sweeps.planning.cells import Cell

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has come to at an evaluation point."""

    cell: Cell
    examples: int
    """seen in training so far, repeats counted"""
    nll: float
    """nats a token of the held-out completions"""
    item_nll: np.ndarray
    """[N] summed NLL of each held-out completion"""


class RunSource(Protocol):
    """A list of runs, or a study that asks for the next when it knows what became of the others."""

    is_open: bool
    """whether more may come while some are in training"""

    def take(self, room: int) -> Sequence[Cell]:
        """Return at most so many more runs of the group's base model, to train beside those that are going on."""
        ...

    def rungs(self, cell: Cell, examples: int) -> Sequence[int]:
        """Return after how many examples a run is to be judged, `examples` being what it will see in all."""
        ...

    def judge(self, reports: Sequence[Report]) -> Mapping[str, str]:
        """Take what runs have come to at the same step; return those to end early, by run id, and why."""
        ...

    def ended(self, cell: Cell, status: str, metrics: Mapping[str, float], reason: str) -> None:
        """Take note that a run was completed, failed or pruned; its record is written."""
        ...


class Listed:
    """A source that has no more than the group began with, and ends no run early."""

    is_open = False

    def take(self, room: int) -> Sequence[Cell]:
        return ()

    def rungs(self, cell: Cell, examples: int) -> Sequence[int]:
        return ()

    def judge(self, reports: Sequence[Report]) -> Mapping[str, str]:
        return {}

    def ended(self, cell: Cell, status: str, metrics: Mapping[str, float], reason: str) -> None:
        pass


class Solo:
    """Another source for a single run: it judges and takes note, but has no more to give."""

    is_open = False

    def __init__(self, source: RunSource) -> None:
        self._source = source
        self.rungs, self.judge, self.ended = source.rungs, source.judge, source.ended

    def take(self, room: int) -> Sequence[Cell]:
        return ()
