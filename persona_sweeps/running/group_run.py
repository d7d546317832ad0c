"""A run in its group: its cells, its lease, its data as token sequences, and its trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.data.sequences import TrainingSequences, evaluation_sequences
from persona_sweeps.data.splits import spread
from persona_sweeps.data.store import PreparedData
from persona_sweeps.lifecycle.lease import Lease
from persona_sweeps.metrics.metric import Request
from persona_sweeps.planning.cells import Cell

if TYPE_CHECKING:
    from datasets import Dataset

    from persona_sweeps.running.run_writer import RunWriter
    from persona_sweeps.training.trial import Trial


@dataclass
class GroupData:
    """Prepared data in the engine's format; runs with the same prepared data share one object."""

    prepared: PreparedData

    @cached_property
    def train(self) -> TrainingSequences:
        return TrainingSequences(self.prepared)

    @cached_property
    def monitored(self) -> list[TokenSequence]:
        """What a trial is evaluated on while it trains: the validation part if there is one, or else `evaluation`."""
        if self.prepared.validation is None:
            return self.evaluation
        return evaluation_sequences(self.prepared.validation, self.prepared.windows)

    @cached_property
    def evaluation(self) -> list[TokenSequence]:
        """Evaluation examples with the loss on the completion, whatever loss training has."""
        return evaluation_sequences(self.prepared.eval, self.prepared.windows)

    @cached_property
    def all_tokens(self) -> list[TokenSequence]:
        """Evaluation examples with the loss on every token except the first."""
        return evaluation_sequences(self.prepared.eval, self.prepared.windows, all_tokens=True)

    def sequences(self, request: Request) -> list[TokenSequence]:
        """Return the sequences whose NLLs answer a request."""
        return self.all_tokens if request.loss_on == "all_tokens" else self.evaluation

    def prompted(self, limit: int | None) -> Dataset:
        """Return the rows that texts are generated for, at most so many of them."""
        rows = self.prepared.texts
        return rows if limit is None else rows.select(spread(rows["cluster"], limit))

    @property
    def evaluation_counts(self) -> dict[str, Any]:
        """The counts of evaluated examples for a record."""
        dropped, cut = dict(self.prepared.dropped), self.prepared.cut
        counts = {"eval_examples": len(self.prepared.eval), "dropped": dropped, **self.prepared.shots}
        return counts | ({"cut": cut} if cut else {})

    @property
    def training_counts(self) -> dict[str, Any]:
        """The counts of training examples for a record."""
        counts = {"train_examples": len(self.prepared.train), "dropped": dict(self.prepared.dropped)}
        if self.prepared.cut:
            counts["cut"] = self.prepared.cut
        if self.prepared.windows is not None:
            counts["train_windows"] = len(self.train)
        if len(self.train.units) < len(self.train):
            counts["train_dialogues"] = len(self.train.units)
        return counts


@dataclass
class GroupRun:
    """A run in a group, from its lease to its last evaluation."""

    cells: list[Cell]
    """the cells of this run; several if it is evaluated in several ways"""
    lease: Lease
    data: GroupData
    writer: RunWriter | None = None
    trial: Trial | None = None
    """set while it trains; None if it was trained before, or trains nothing"""
    index: int = -1
    """index of its trial in the engine"""
    over: bool = False
    """whether nothing is left to do for it in this group"""

    @property
    def cell(self) -> Cell:
        """The first of its cells, which represents the run itself."""
        return self.cells[0]

    @property
    def in_training(self) -> bool:
        return self.trial is not None and not self.over

    def cells_to_predict(self) -> list[Cell]:
        """Return the cells that lack predictions."""
        return [cell for cell in self.cells if cell.missing()]

    def log(self, values: Mapping[str, float]) -> None:
        """Add a step to the history."""
        assert self.writer is not None
        self.writer.log(values)

    def release(self) -> None:
        """Release the run to other processes."""
        self.over = True
        self.lease.release()
