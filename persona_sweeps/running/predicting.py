"""Make the missing predictions of many runs, in shared passes of one base model, whoever trained the runs.

A run answers from its folder, never from what training left in memory, so that its predictions are the same today and
next year, solo or in a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from persona_sweeps.data.example import Example
from persona_sweeps.data.sequences import labels_of
from persona_sweeps.metrics.metric import Request
from persona_sweeps.planning.cells import Cell
from persona_sweeps.records.files import finite
from persona_sweeps.records.identity import digest
from persona_sweeps.records.predictions import set_aside_broken, write_predictions
from persona_sweeps.records.provenance import environment, now
from persona_sweeps.running.clock import GroupClock
from persona_sweeps.running.group_run import GroupData, GroupRun
from persona_sweeps.running.peak_memory import peak_device_bytes, peak_rss_bytes
from persona_sweeps.running.prompts import PromptMaker, Prompts

if TYPE_CHECKING:
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.engine import Engine


@dataclass(frozen=True, eq=False)
class PredictionTask:
    """Predictions to make: a request to the predictor at `index` in the engine's stack."""

    index: int
    run: GroupRun
    cell: Cell
    request: Request
    prediction_id: str
    prompts: Prompts

    @property
    def prompt_tokens(self) -> list[tuple[int, ...]]:
        """The tokens of each prompt."""
        rows = self.prompts.rows
        pairs = zip(rows["input_ids"], rows["prompt_length"], strict=True)
        return [tuple(ids[: max(1, length)]) for ids, length in pairs]


class Predicting:
    """Makes and writes the missing predictions of some runs on one base model.

    `failed` has the error of each run that can't answer, by run id. An error of a shared pass is raised, since any of
    the runs may have caused it.
    """

    def __init__(
        self,
        base: BaseModel,
        runs: Sequence[GroupRun],
        data: Callable[[Cell], GroupData],
        note: Callable[[str], None],
    ) -> None:
        self.base, self.runs, self.data, self.note = base, runs, data, note
        self.failed: dict[str, Exception] = {}
        self._prompts = PromptMaker(base.tokenizer)

    def by_base(self, engine: Callable[[], Engine]) -> None:
        """Make what the untuned base answers; runs that ask for the same share the answers. Loads no adapter."""
        from persona_sweeps.methods.weights import Adapter

        asked: dict[str, list[PredictionTask]] = {}
        for run in self.runs:
            for task in self._tasks(run, "base", lambda: -1):
                asked.setdefault(task.prediction_id, []).append(task)
        if not asked:
            return
        index = engine().answer(Adapter())
        for sharing in asked.values():
            self._answer(engine(), [replace(task, index=index) for task in sharing], shared=True)
        engine().dismiss(index)

    def by_runs(self, engine: Engine) -> None:
        """Make what the runs' own predictors answer, in shared passes."""
        tasks = [task for run in self.runs for task in self._tasks(run, "run", partial(self._load, engine, run))]
        for batch in _rounds([task for task in tasks if task.request.kind == "nll"]):
            self._answer(engine, batch)
        for batch in _by_decoding([task for task in tasks if task.request.kind == "text"]):
            clock = _clock(batch)
            texts = _texts(engine, self.base, batch)
            clock.lap({task.prediction_id: len(task.prompts.rows) for task in batch})
            for task in batch:
                count = len(task.prompts.rows)
                self._write(task, texts[:count], clock)
                texts = texts[count:]
        for index in {task.index for task in tasks}:
            engine.dismiss(index)

    def _load(self, engine: Engine, run: GroupRun) -> int:
        """Load a run's adapter into the engine's stack; return its index."""
        return engine.answer(run.cell.config.peft.load(self.base.model, run.cell.folder.path))

    def _tasks(self, run: GroupRun, by: str, load: Callable[[], int]) -> list[PredictionTask]:
        """Return a task for each missing prediction of a run, which `load` gives an index in the stack."""
        if run.cell.run_id in self.failed:
            return []
        try:
            missing: dict[str, tuple[Cell, Request]] = {}
            for cell in run.cells:
                for request, name in cell.missing().items():
                    if request.by != by:
                        continue
                    missing[name] = cell, request
                    if sentence := set_aside_broken(cell.folder, name):
                        self.note(sentence)
            if not missing:
                return []
            index = load()
            return [
                PredictionTask(index, run, cell, request, name, self._prompts(cell, request, self.data(cell)))
                for name, (cell, request) in missing.items()
            ]
        except Exception as error:
            self.failed[run.cell.run_id] = error
            return []

    def _answer(self, engine: Engine, tasks: Sequence[PredictionTask], shared: bool = False) -> None:
        """Compute and write the NLLs of tasks of different predictors; `shared`: of one, the first task's."""
        clock = _clock(tasks)
        computed = tasks[:1] if shared else tasks
        sums = engine.sequence_nll({task.index: task.prompts.sequences for task in computed})
        clock.lap({task.prediction_id: len(task.prompts.rows) for task in computed})
        for task in tasks:
            rows = task.prompts.rows
            counts = labels_of(task.prompts.sequences, len(rows))
            values = zip(sums[task.index].tolist(), counts, rows["completion_bytes"], strict=True)
            self._write(task, [{"nll": nll, "tokens": count, "bytes": size} for nll, count, size in values], clock)

    def _write(self, task: PredictionTask, answers: Sequence[dict[str, Any]], clock: GroupClock) -> None:
        """Write a task's predictions; an error fails its run only."""
        from persona_sweeps.models.quantization import weights_bytes

        columns = ("id", "cluster", "persona", "prompt", "completion")
        lines = [
            {**{("reference" if key == "completion" else key): row[key] for key in columns}, **finite(answer)}
            for row, answer in zip(task.prompts.rows, answers, strict=True)
        ]
        resources = clock.share(task.prediction_id) | {
            "weights_bytes": weights_bytes(self.base.model),
            "peak_rss_bytes": peak_rss_bytes(),
            "peak_device_bytes": peak_device_bytes(),
            "device": str(self.base.model.device),
        }
        prepared = self.data(task.cell).prepared
        fingerprints = {
            "data_fingerprint": prepared.data_fingerprint,
            "template_fingerprint": prepared.template_fingerprint,
            "model_fingerprint": self.base.fingerprint,
        }
        of_prompts = task.prompts.examples, task.prompts.counts
        head = prediction_head(task.cell, task.request, *of_prompts, resources, fingerprints)
        try:
            task.run.lease.check()
            write_predictions(task.cell.folder, task.prediction_id, head, lines)
        except Exception as error:
            self.failed.setdefault(task.run.cell.run_id, error)


def _clock(tasks: Sequence[PredictionTask]) -> GroupClock:
    clock = GroupClock()
    for task in tasks:
        clock.join(task.prediction_id)
    return clock


def items_digest(examples: Sequence[Example]) -> str:
    """Return the hash of the examples that were asked and what their prompts show, before any model's template.

    An example that a model's template pushes over train.max_length counts as asked: else models of which one lacks it
    couldn't be compared.
    """
    content = [
        [e.id, e.prompt if isinstance(e.prompt, str) else [[m.role, m.content] for m in e.prompt], e.completion]
        for e in sorted(examples, key=lambda e: e.id)
    ]
    return digest(content)


def _rounds(tasks: Sequence[PredictionTask]) -> Iterator[list[PredictionTask]]:
    """Yield the tasks in rounds, each of which is one set of passes and has each predictor at most once."""
    left = list(tasks)
    while left:
        chosen = list({task.index: task for task in reversed(left)}.values())[::-1]
        yield chosen
        left = [task for task in left if task not in chosen]


def _by_decoding(tasks: Sequence[PredictionTask]) -> Iterator[list[PredictionTask]]:
    groups: dict[str, list[PredictionTask]] = {}
    for task in tasks:
        groups.setdefault(f"{task.cell.config.generation} {task.prompts.stop_token_ids}", []).append(task)
    yield from groups.values()


def _texts(engine: Engine, base: BaseModel, tasks: Sequence[PredictionTask]) -> list[dict[str, Any]]:
    """Return the texts of tasks with the same decoding, generated side by side, and whether they are finished.

    A text with as many tokens as are allowed was cut off, unless a stop text was just reached.
    """
    from persona_sweeps.prediction.ending import Ending
    from persona_sweeps.prediction.generation import generate, requests

    generation_requests = [
        request
        for task in tasks
        for request in requests(task.index, task.prompt_tokens, task.prompts.rows["id"], task.cell.config.seed)
    ]
    decoding, stop = tasks[0].cell.config.generation, tasks[0].prompts.stop_token_ids

    def decode(tokens: Sequence[int]) -> str:
        return str(base.tokenizer.decode(list(tokens), skip_special_tokens=True))

    ending = Ending(frozenset(stop), tuple(decoding.stop), decode)
    return [
        {"text": ending.text(tokens), "finished": len(tokens) < decoding.max_new_tokens or ending.reached(tokens)}
        for tokens in generate(engine, generation_requests, decoding, stop, decode)
    ]


def prediction_head(
    cell: Cell,
    request: Request,
    examples: Sequence[Example],
    counts: dict[str, Any],
    resources: dict[str, Any],
    fingerprints: dict[str, str],
) -> dict[str, Any]:
    """Return the head of predictions, except their ids and the hash of their lines."""
    texts = request.kind == "text"
    return {
        "run_id": cell.run_id,
        "request": request.as_record(),
        "decoding": cell.resolved["generation"] if texts else None,
        "seed": cell.config.seed if texts and cell.config.peft.has_model and cell.config.generation.samples else None,
        "items_digest": items_digest(examples),
        "data": counts,
        "resources": resources,
        "provenance": {"created": now(), **environment(), **fingerprints},
    }
