"""A run inside its group: its data as token sequences, its trial, and the evaluation that ends it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.data.store import PreparedData
from persona_sweeps.metrics.likelihood import (
    all_token_metrics,
    label_count,
    likelihood_metrics,
    on_all_tokens,
    on_completion,
)
from persona_sweeps.planning.cells import Cell
from persona_sweeps.records.identity import comparability_key

if TYPE_CHECKING:
    from datasets import Dataset

    from persona_sweeps.metrics.overlap import OverlapScores
    from persona_sweeps.running.run_writer import RunWriter
    from persona_sweeps.training.trial import Trial


@dataclass
class GroupData:
    """Prepared data as the engine takes it; runs with the same prepared data share one of these."""

    prepared: PreparedData

    @cached_property
    def train(self) -> list[TokenSequence]:
        return _sequences(self.prepared.train)

    @cached_property
    def evaluation(self) -> list[TokenSequence]:
        """Evaluation examples with the loss on the completion, which is what every run is scored on."""
        prompts = self.prepared.eval["prompt_length"]
        pairs = zip(_sequences(self.prepared.eval), prompts, strict=True)
        return [on_completion(sequence, length) for sequence, length in pairs]

    @cached_property
    def all_tokens(self) -> list[TokenSequence]:
        return [on_all_tokens(sequence) for sequence in self.evaluation]

    @cached_property
    def prompts(self) -> list[tuple[int, ...]]:
        return [sequence.tokens[: sequence.loss_from] for sequence in self.evaluation]

    @property
    def ids(self) -> list[str]:
        return list(self.prepared.eval["id"])

    @property
    def counts(self) -> dict[str, Any]:
        return {
            "train_examples": len(self.prepared.train),
            "eval_examples": len(self.prepared.eval),
            "dropped": dict(self.prepared.dropped),
            **self.prepared.shots,
        }


@dataclass
class Member:
    """A run that takes part in a group: its place in the engine's list, its files, its data and its trial."""

    index: int
    cell: Cell
    data: GroupData
    writer: RunWriter
    trial: Trial


@dataclass
class Evaluated:
    """What evaluation found out about one run."""

    nll: np.ndarray
    """[N] summed NLL in nats of each completion"""
    all_tokens_nll: np.ndarray | None = None
    predictions: list[str] | None = None
    overlap: OverlapScores | None = None


def metrics(cell: Cell, data: GroupData, found: Evaluated) -> dict[str, float]:
    """Return the metrics of a run's record."""
    values: dict[str, float] = {}
    if cell.config.metrics.likelihood is not None:
        counts = [label_count(sequence) for sequence in data.evaluation]
        values |= likelihood_metrics(found.nll, counts, data.prepared.eval["completion_bytes"])
        if found.all_tokens_nll is not None:
            values |= all_token_metrics(found.all_tokens_nll, [label_count(s) for s in data.all_tokens])
    if found.overlap is not None:
        values |= found.overlap.corpus
    return values


def samples(data: GroupData, found: Evaluated) -> list[dict[str, Any]]:
    """Return a row an evaluation example, with its own metrics."""
    rows = []
    for index, example in enumerate(data.prepared.eval):
        count = label_count(data.evaluation[index])
        rows.append(
            {
                "id": example["id"],
                "cluster": example["cluster"],
                "persona": example["persona"],
                "prompt": example["prompt"],
                "reference": example["completion"],
                "prediction": found.predictions[index] if found.predictions is not None else None,
                "completion_nll": float(found.nll[index]) / count,
                "completion_tokens": count,
                "completion_bytes": example["completion_bytes"],
                **(found.overlap.items[index] if found.overlap is not None else {}),
            }
        )
    return rows


def comparability(cell: Cell, data: GroupData) -> str:
    from persona_sweeps.metrics.overlap import versions

    used = versions() if cell.config.metrics.overlap is not None else {}
    return comparability_key(cell.resolved, data.prepared.data_fingerprint, data.ids, used)


def _sequences(dataset: Dataset) -> list[TokenSequence]:
    rows = zip(dataset["input_ids"], dataset["loss_from"], strict=True)
    return [TokenSequence(tuple(ids), loss_from, index) for index, (ids, loss_from) in enumerate(rows)]
