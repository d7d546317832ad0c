"""How much of a sweep's work is done, and when the rest will be."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from persona_sweeps.planning.duration import group_seconds
from persona_sweeps.planning.speed import Speed

if TYPE_CHECKING:
    from persona_sweeps.planning.preflight import Predictions

NOMINAL = Speed(1e11, 2e10, 1e-5)
"""a laptop's; only what runs take beside each other matters here, since their pace is measured as they go on"""


@dataclass(frozen=True, slots=True)
class Weight:
    """What a run takes beside others: its training, and its evaluation."""

    training: float
    evaluation: float

    @property
    def whole(self) -> float:
        return self.training + self.evaluation


def weights(predictions: Predictions) -> dict[str, Weight]:
    """Return the weight of each run, by run id."""
    found = {}
    for run_id, prediction in predictions.items():
        work = prediction.work
        whole = group_seconds([work], NOMINAL)
        training = whole * work.training_flops / work.flops if work.flops else 0.0
        found[run_id] = Weight(training, whole - training)
    return found


@dataclass
class _Training:
    total: int
    step: int
    first: int | None = None
    """the step from which it goes on: what an earlier command did is no measure of this one's pace"""


@dataclass
class SweepProgress:
    """The progress of the runs that a command has to do."""

    weights: Mapping[str, Weight]
    done: set[str] = field(default_factory=set)
    _training: dict[str, _Training] = field(default_factory=dict)
    _began: float | None = None

    def begin(self, run_id: str, steps: int) -> None:
        """Take note that a run begins, of so many steps."""
        if self._began is None:
            self._began = time.monotonic()
        self._training[run_id] = _Training(max(1, steps), 0)

    def step(self, run_id: str, step: int) -> None:
        training = self._training[run_id]
        if training.first is None:
            training.first = step - 1
        training.step = step

    def end(self, run_id: str) -> None:
        self.done.add(run_id)

    @property
    def share(self) -> float:
        """How much of the work is done, 0 to 1."""
        whole = sum(weight.whole for weight in self.weights.values())
        return sum(self._done(run_id) for run_id in self.weights) / whole if whole else 0.0

    def seconds_left(self) -> float | None:
        """Return how long the rest takes at the pace so far; None before there is one."""
        done = sum(self._done(run_id) for run_id in self.weights)
        skipped = sum(self._skipped(run_id) for run_id in self.weights)
        whole = sum(weight.whole for weight in self.weights.values())
        if self._began is None or done <= skipped:
            return None
        return max(0.0, (time.monotonic() - self._began) * (whole - done) / (done - skipped))

    def _done(self, run_id: str) -> float:
        weight = self.weights[run_id]
        if run_id in self.done:
            return weight.whole
        training = self._training.get(run_id)
        return weight.training * training.step / training.total if training else 0.0

    def _skipped(self, run_id: str) -> float:
        training = self._training.get(run_id)
        return self.weights[run_id].training * (training.first or 0) / training.total if training else 0.0
