"""Carry out cells that need no base model: references without one, and evaluations that only lack scores.

They are leased, recorded and reported like all others, but each is carried out as soon as it joins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from persona_sweeps.data import corpus_of
from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.prepare import TOO_LONG
from persona_sweeps.data.splits import spread
from persona_sweeps.lifecycle.lease import Lease
from persona_sweeps.planning.cells import Cell, Stage
from persona_sweeps.records.predictions import set_aside_broken, write_predictions
from persona_sweeps.records.run import UNTRAINED
from persona_sweeps.running.clock import GroupClock
from persona_sweeps.running.group import Group
from persona_sweeps.running.peak_memory import peak_rss_bytes, restart_peaks
from persona_sweeps.running.predicting import prediction_head
from persona_sweeps.running.prompts import asked
from persona_sweeps.running.run_writer import RunWriter
from persona_sweeps.running.scoring import score


class WithoutModel(Group):
    """A group whose runs are carried out one after the other, as they join."""

    def run(self, cells: Sequence[Cell]) -> None:
        """Carry out these cells, and those that the source adds."""
        restart_peaks()
        newcomers = cells
        while newcomers:
            self._join(newcomers)
            newcomers = self.source.take(self.size) if self.source.is_open else ()

    def _begin(self, cells: list[Cell], lease: Lease) -> None:
        writer = None
        with lease:
            try:
                with self.stop.at_once():
                    if cells[0].stage is Stage.train:
                        self.console.begin(cells[0], 0)
                        writer = self._record_run(cells[0], lease)
            except Exception as error:
                self._fail_before(cells, lease, error)
                return
            if writer is not None:
                writer.close()
            for cell in cells:
                self._evaluate_one(cell, lease)

    def _record_run(self, cell: Cell, lease: Lease) -> RunWriter:
        """Write the record of a predictor that trains nothing."""
        clock = GroupClock()
        clock.join(cell.run_id)
        corpus = corpus_of(cell.config)
        writer = RunWriter(cell, lease)
        writer.outcome.training = dict(UNTRAINED)
        writer.outcome.data = {"train_examples": len(corpus.train), "dropped": dict(corpus.dropped)}
        writer.outcome.fingerprints = {"data_fingerprint": corpus.fingerprint}
        writer.outcome.resources = clock.share(cell.run_id) | _nothing_held()
        writer.check()
        writer.complete()
        return writer

    def _evaluate_one(self, cell: Cell, lease: Lease) -> None:
        """Make a cell's missing predictions, and score them, or record why that failed."""
        try:
            with self.stop.at_once():
                if cell.missing():
                    self._predict(cell)
                lease.check()
                metrics = score(cell)
        except Exception as error:
            self._fail_evaluation(cell, error)
            return
        self._finish([cell], "completed", metrics)

    def _predict(self, cell: Cell) -> None:
        """Write the answers of a predictor without a model to the held-out prompts."""
        assert cell.evaluated is not None, "a run with a model has its predictions by now"
        clock = GroupClock()
        corpus = corpus_of(cell.config)
        fitting = set(cell.evaluated)
        texts = corpus.prompts or [example for example in corpus.eval if example.id in fitting]
        prompted = [texts[index] for index in spread([e.cluster for e in texts], cell.config.generation.limit)]
        answers, answer_counts = cell.config.peft.answer(corpus.train, prompted)
        lines = [_line(example) | answer for example, answer in zip(prompted, answers, strict=True)]
        counts = _counts(corpus, len(cell.evaluated)) | answer_counts
        self.console.dropped([cell], counts["dropped"], str(len(corpus.train) + len(corpus.eval)))
        for request, prediction_id in cell.missing().items():
            if sentence := set_aside_broken(cell.folder, prediction_id):
                self.console.note(sentence)
            clock.join(prediction_id)
            clock.lap({prediction_id: 1})
            resources = clock.share(prediction_id) | _nothing_held()
            fingerprints = {"data_fingerprint": corpus.fingerprint}
            head = prediction_head(cell, request, asked(corpus), counts, resources, fingerprints)
            write_predictions(cell.folder, prediction_id, head, lines)


def _nothing_held() -> dict[str, Any]:
    return {"weights_bytes": 0, "peak_rss_bytes": peak_rss_bytes(), "peak_device_bytes": None, "device": "cpu"}


def _counts(corpus: Corpus, evaluated: int) -> dict[str, Any]:
    too_long = len(corpus.eval) - evaluated
    dropped = {**corpus.dropped, **({TOO_LONG: too_long} if too_long else {})}
    return {"eval_examples": evaluated, "dropped": dropped}


def _line(example: Example) -> dict[str, Any]:
    return {
        "id": example.id,
        "cluster": example.cluster,
        "persona": example.persona,
        "prompt": example.prompt_text,
        "reference": example.completion,
    }
