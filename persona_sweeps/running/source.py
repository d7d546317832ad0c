"""The sources of a group's runs; a source also judges the runs and hears of their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from persona_sweeps.planning.cells import Cell

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class RungReport:
    """A run's likelihoods at a rung."""

    cell: Cell
    examples: int
    """examples seen in training so far, counting repeats"""
    nll: float
    """nats a token of the held-out completions"""
    item_nll: np.ndarray
    """[N] summed NLL of each held-out completion"""


class RunSource(Protocol):
    """Gives a group its runs: from a list, or from a study that draws the next run when others have finished."""

    is_open: bool
    """whether more runs may come while some are in training"""

    def take(self, room: int) -> Sequence[Cell]:
        """Return at most `room` more runs of the group's base model, to train beside those in training."""
        ...

    def rungs(self, cell: Cell, examples: int) -> Sequence[int]:
        """Return the numbers of examples after which a run is judged; `examples` is how many it will see in all."""
        ...

    def judge(self, reports: Sequence[RungReport]) -> Mapping[str, str]:
        """Judge the runs that have reached a rung at the same step; return why to stop some early, by run id."""
        ...

    def finished(self, cell: Cell, status: str, metrics: Mapping[str, float], reason: str) -> None:
        """Accept the result of a completed, failed or pruned run, whose record is written."""
        ...


class NoMoreRuns:
    """A source without further runs, which stops no run early."""

    is_open = False

    def take(self, room: int) -> Sequence[Cell]:
        return ()

    def rungs(self, cell: Cell, examples: int) -> Sequence[int]:
        return ()

    def judge(self, reports: Sequence[RungReport]) -> Mapping[str, str]:
        return {}

    def finished(self, cell: Cell, status: str, metrics: Mapping[str, float], reason: str) -> None:
        pass


class SoloSource:
    """A source for a single run of another source: it passes judgements and results on, but gives no further runs."""

    is_open = False

    def __init__(self, source: RunSource) -> None:
        self._source = source
        self.rungs, self.judge, self.finished = source.rungs, source.judge, source.finished

    def take(self, room: int) -> Sequence[Cell]:
        return ()
