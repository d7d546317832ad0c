"""The prompts of a request as the engine and the records need them: held-out ones, or a metric's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from persona_sweeps.data import corpus_of
from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.data.prepare import prepare_prompts
from persona_sweeps.data.run_data import RunData
from persona_sweeps.data.sequences import evaluation_sequences
from persona_sweeps.metrics.metric import HELD_OUT, Request
from persona_sweeps.metrics.prompt_sets import prompt_set
from persona_sweeps.planning.cells import Cell
from persona_sweeps.running.group_run import GroupData

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts that a request is answered for."""

    rows: Dataset
    sequences: Sequence[TokenSequence]
    """whose NLLs are the answers; empty where texts are asked for"""
    examples: Sequence[Example]
    """what was asked, before any model's template, those that don't fit among them"""
    counts: dict[str, Any]
    """how many there are and how many were left out, for the record"""
    stop_token_ids: tuple[int, ...]


@dataclass
class PromptMaker:
    """Makes the prompts of requests; runs that have the same prompts share them."""

    tokenizer: PreTrainedTokenizerBase
    _made: dict[tuple[object, ...], Prompts] = field(default_factory=dict)

    def __call__(self, cell: Cell, request: Request, data: GroupData) -> Prompts:
        """Return the prompts of a request. Raises DataError if none fits in train.max_length."""
        return self._held_out(cell, request, data) if request.prompt_set == HELD_OUT else self._own(cell, request, data)

    def _held_out(self, cell: Cell, request: Request, data: GroupData) -> Prompts:
        texts = request.kind == "text"
        return Prompts(
            data.prompted(cell.config.generation.limit) if texts else data.prepared.eval,
            () if texts else data.sequences(request),
            asked(corpus_of(cell.config)),
            data.evaluation_counts,
            data.prepared.stop_token_ids,
        )

    def _own(self, cell: Cell, request: Request, data: GroupData) -> Prompts:
        """Return a metric's own prompts; those of few-shot prompting stand behind the same shots as held-out ones."""
        chosen = prompt_set(cell.metrics.values(), request.prompt_set, RunData.of(cell.config))
        with_shots = request.by == "run" and bool(cell.config.peft.shots)
        key = chosen.fingerprint, request.loss_on, id(data.prepared), with_shots
        if key not in self._made:
            trained = set(data.prepared.train["id"]) if with_shots else set()
            solved = [example for example in corpus_of(cell.config).train if example.id in trained]
            prepared = prepare_prompts(cell.config, chosen.examples, self.tokenizer, solved)
            self._made[key] = Prompts(
                prepared.rows,
                evaluation_sequences(prepared.rows, prepared.windows, request.loss_on == "all_tokens"),
                chosen.examples,
                {"eval_examples": len(prepared.rows), "dropped": dict(prepared.dropped)},
                data.prepared.stop_token_ids,
            )
        return self._made[key]


def asked(corpus: Corpus) -> list[Example]:
    """Return the held-out examples, and what texts are generated for where that is something else."""
    return [*corpus.eval, *corpus.prompts]
