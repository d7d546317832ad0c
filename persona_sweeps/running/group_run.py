"""A run in its group: its cells, its lease, its data as token sequences, and its trial."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from persona_sweeps.data.packing import TokenSequence
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
    def train(self) -> list[TokenSequence]:
        return _sequences(self.prepared.train)

    @cached_property
    def evaluation(self) -> list[TokenSequence]:
        """Evaluation examples with the loss on the completion, whatever loss training has."""
        prompts = self.prepared.eval["prompt_length"]
        pairs = zip(_sequences(self.prepared.eval), prompts, strict=True)
        return [sequence.under_loss_from(length) for sequence, length in pairs]

    @cached_property
    def all_tokens(self) -> list[TokenSequence]:
        """Evaluation examples with the loss on every token except the first."""
        return [sequence.under_loss_from(1) for sequence in self.evaluation]

    def sequences(self, request: Request) -> list[TokenSequence]:
        """Return the sequences whose NLLs answer a request."""
        return self.all_tokens if request.loss_on == "all_tokens" else self.evaluation

    @cached_property
    def prompts(self) -> list[tuple[int, ...]]:
        return [sequence.tokens[: sequence.loss_from] for sequence in self.evaluation]

    @property
    def ids(self) -> list[str]:
        return list(self.prepared.eval["id"])

    @property
    def evaluation_counts(self) -> dict[str, Any]:
        """The counts of evaluated examples for a record."""
        dropped = dict(self.prepared.dropped)
        return {"eval_examples": len(self.prepared.eval), "dropped": dropped, **self.prepared.shots}

    @property
    def training_counts(self) -> dict[str, Any]:
        """The counts of training examples for a record."""
        return {"train_examples": len(self.prepared.train), "dropped": dict(self.prepared.dropped)}


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

    def release(self) -> None:
        """Release the run to other processes."""
        self.over = True
        self.lease.release()


def _sequences(dataset: Dataset) -> list[TokenSequence]:
    rows = zip(dataset["input_ids"], dataset["loss_from"], strict=True)
    return [TokenSequence(tuple(ids), loss_from, index) for index, (ids, loss_from) in enumerate(rows)]
