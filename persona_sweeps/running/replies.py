"""Runs without a model: the group that makes their predictions from the training examples, one run after the other.

They are leased, recorded and told like any other run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.prepare import TOO_LONG
from persona_sweeps.lifecycle.lease import Lease
from persona_sweeps.planning.cells import Cell
from persona_sweeps.prediction.nearest_reply import Reply, nearest_replies, prompt_text
from persona_sweeps.records.identity import comparability_key
from persona_sweeps.running import group
from persona_sweeps.running.peak_memory import peak_rss_bytes, restart_peaks
from persona_sweeps.running.run_writer import RunWriter

UNTRAINED = {
    "steps": 0, "epochs": 0.0, "trainable_parameters": 0, "tokens": 0, "unique_tokens": 0, "examples": 0,
    "final_train_nll": None, "best_eval_nll": None,
}  # fmt: skip


class Group(group.Group):
    """Runs that are carried out when they join."""

    def run(self, cells: Sequence[Cell]) -> None:
        """Carry out these, and those that the source has after them."""
        restart_peaks()
        self.clock.lap({})  # what that took is no run's
        newcomers = cells
        while newcomers:
            self._join(newcomers)
            newcomers = self.source.take(self.size) if self.source.is_open else ()

    def _begin(self, cell: Cell, lease: Lease) -> None:
        place = self._cells.index(cell)
        self.clock.join(place)
        try:
            writer = RunWriter(cell, lease)
        except Exception as error:  # such as a full disk
            self.fail_unbegun(cell, lease, error)
            return
        self.console.begin(cell, 0)
        try:
            with self.stop.at_once():
                self._carry_out(cell, writer, place)
        except Exception as error:
            self.fail(writer, error)
        except BaseException:
            writer.abandon()
            raise

    def _carry_out(self, cell: Cell, writer: RunWriter, place: int) -> None:
        """Make a run's predictions, score them, and write its record."""
        from persona_sweeps.metrics.overlap import score_overlap, versions

        overlap, evaluated = cell.config.metrics.overlap, cell.evaluated
        assert overlap is not None and evaluated is not None, "validated, and settled with the cell"
        corpus = load_corpus(cell.config.dataset)
        kept = set(evaluated)
        asked = [example for example in corpus.eval if example.id in kept]
        replies = nearest_replies(corpus, asked)
        scores = score_overlap([reply.text for reply in replies], [e.completion for e in asked], overlap)
        outcome = writer.outcome
        outcome.metrics = scores.corpus
        outcome.training = dict(UNTRAINED)
        outcome.data = _counts(corpus, asked, replies)
        outcome.fingerprints = {"data_fingerprint": corpus.fingerprint}
        outcome.comparability_key = comparability_key(cell.resolved, corpus.fingerprint, evaluated, versions())
        self.clock.lap({place: 1})
        outcome.resources = self.clock.share(place) | {
            "weights_bytes": 0,
            "peak_rss_bytes": peak_rss_bytes(),
            "peak_device_bytes": None,
            "device": "cpu",
        }
        self.console.dropped([cell], outcome.data["dropped"], str(len(corpus.train) + len(corpus.eval)))
        writer.check()
        writer.complete(_samples(asked, replies, scores.items))
        self.told(cell, "completed", outcome.metrics)


def _counts(corpus: Corpus, asked: Sequence[Example], replies: Sequence[Reply]) -> dict[str, Any]:
    too_long = len(corpus.eval) - len(asked)
    others = sum(not reply.own_persona for reply in replies)
    unlike = sum(not reply.similarity for reply in replies)
    return {
        "train_examples": len(corpus.train),
        "eval_examples": len(asked),
        "dropped": {**corpus.dropped, **({TOO_LONG: too_long} if too_long else {})},
        **({"replies_of_other_personas": others} if others else {}),
        **({"replies_without_a_shared_word": unlike} if unlike else {}),
    }


def _samples(
    asked: Sequence[Example], replies: Sequence[Reply], scores: Sequence[dict[str, float]]
) -> list[dict[str, Any]]:
    """Return a row an evaluation example; without a model there are neither tokens nor their likelihood."""
    return [
        {
            "id": example.id,
            "cluster": example.cluster,
            "persona": example.persona,
            "prompt": prompt_text(example),
            "reference": example.completion,
            "prediction": reply.text,
            "completion_nll": None,
            "completion_tokens": None,
            "completion_bytes": len(example.completion.encode()),
            "nearest_id": reply.nearest_id,
            "similarity": reply.similarity,
            **own,
        }
        for example, reply, own in zip(asked, replies, scores, strict=True)
    ]
