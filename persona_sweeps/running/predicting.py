"""Make the missing predictions of many runs, in shared passes of one base model, whoever trained the runs.

A run answers from its folder, never from what training left in memory, so that its predictions are the same today and
next year, solo or in a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from persona_sweeps.data import corpus_of
from persona_sweeps.data.example import Corpus, Example
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

if TYPE_CHECKING:
    from datasets import Dataset

    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.engine import Engine


@dataclass(frozen=True, eq=False)
class PredictionTask:
    """Predictions to make: a request to the predictor at `index` in the engine's stack."""

    index: int
    run: GroupRun
    cell: Cell
    data: GroupData
    request: Request
    prediction_id: str

    @cached_property
    def rows(self) -> Dataset:
        """The items that are asked for."""
        texts = self.request.kind == "text"
        return self.data.prompted(self.cell.config.generation.limit) if texts else self.data.prepared.eval

    @property
    def prompts(self) -> list[tuple[int, ...]]:
        """The tokens of each prompt."""
        pairs = zip(self.rows["input_ids"], self.rows["prompt_length"], strict=True)
        return [tuple(ids[: max(1, length)]) for ids, length in pairs]


def predict(
    engine: Engine,
    base: BaseModel,
    runs: Sequence[GroupRun],
    data: Callable[[Cell], GroupData],
    note: Callable[[str], None],
) -> dict[str, Exception]:
    """Make and write the missing predictions of these runs; return the error of each run that can't answer, by run id.

    Raises what a shared pass raises, since any of the runs may have caused it.
    """
    failed: dict[str, Exception] = {}
    tasks: list[PredictionTask] = []
    for run in runs:
        try:
            tasks += _tasks(engine, base, run, data, note)
        except Exception as error:
            failed[run.cell.run_id] = error
    clock = GroupClock()
    for task in tasks:
        clock.join(task.prediction_id)
    for batch in _rounds([task for task in tasks if task.request.kind == "nll"]):
        sums = engine.sequence_nll({task.index: task.data.sequences(task.request) for task in batch})
        clock.lap({task.prediction_id: len(task.rows) for task in batch})
        for task in batch:
            rows = task.rows
            counts = labels_of(task.data.sequences(task.request), len(rows))
            values = zip(sums[task.index].tolist(), counts, rows["completion_bytes"], strict=True)
            answers = [{"nll": nll, "tokens": count, "bytes": size} for nll, count, size in values]
            _write(task, answers, base, clock, failed)
    for batch in _by_decoding([task for task in tasks if task.request.kind == "text"]):
        texts = _texts(engine, base, batch)
        clock.lap({task.prediction_id: len(task.rows) for task in batch})
        for task in batch:
            count = len(task.rows)
            _write(task, [{"text": text} for text in texts[:count]], base, clock, failed)
            texts = texts[count:]
    for index in {task.index for task in tasks}:
        engine.dismiss(index)
    return failed


def evaluated_examples(corpus: Corpus, ids: Iterable[str]) -> list[Example]:
    """Return the held-out examples with these ids, and what texts are generated for where that is something else."""
    fitting = set(ids)
    return [*(example for example in corpus.eval if example.id in fitting), *corpus.prompts]


def items_digest(examples: Sequence[Example]) -> str:
    """Return the hash of evaluated examples and what their prompts show, before any model's template."""
    content = [
        [e.id, e.prompt if isinstance(e.prompt, str) else [[m.role, m.content] for m in e.prompt], e.completion]
        for e in sorted(examples, key=lambda e: e.id)
    ]
    return digest(content)


def _tasks(
    engine: Engine, base: BaseModel, run: GroupRun, data: Callable[[Cell], GroupData], note: Callable[[str], None]
) -> list[PredictionTask]:
    """Load a run's adapter into the engine's stack, and return a task for each of its missing predictions."""
    missing: dict[str, tuple[Cell, Request]] = {}
    for cell in run.cells:
        for request, name in cell.missing().items():
            missing[name] = cell, request
            if sentence := set_aside_broken(cell.folder, name):
                note(sentence)
    if not missing:
        return []
    index = engine.answer(run.cell.config.peft.load(base.model, run.cell.folder.path))
    return [PredictionTask(index, run, cell, data(cell), request, name) for name, (cell, request) in missing.items()]


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
        groups.setdefault(f"{task.cell.config.generation} {task.data.prepared.stop_token_ids}", []).append(task)
    yield from groups.values()


def _texts(engine: Engine, base: BaseModel, tasks: Sequence[PredictionTask]) -> list[str]:
    """Return the texts of tasks with the same decoding, generated side by side."""
    from persona_sweeps.prediction.ending import Ending
    from persona_sweeps.prediction.generation import generate, requests

    generation_requests = [
        request
        for task in tasks
        for request in requests(task.index, task.prompts, task.rows["id"], task.cell.config.seed)
    ]
    first = tasks[0]

    def decode(tokens: Sequence[int]) -> str:
        return str(base.tokenizer.decode(list(tokens), skip_special_tokens=True))

    decoding, stop = first.cell.config.generation, first.data.prepared.stop_token_ids
    ending = Ending(frozenset(stop), tuple(decoding.stop), decode)
    return [ending.text(tokens) for tokens in generate(engine, generation_requests, decoding, stop, decode)]


def _write(
    task: PredictionTask,
    answers: Sequence[dict[str, Any]],
    base: BaseModel,
    clock: GroupClock,
    failed: dict[str, Exception],
) -> None:
    """Write a task's predictions; an error fails its run only."""
    columns = ("id", "cluster", "persona", "prompt", "completion")
    lines = [
        {**{("reference" if key == "completion" else key): row[key] for key in columns}, **finite(answer)}
        for row, answer in zip(task.rows, answers, strict=True)
    ]
    examples = evaluated_examples(corpus_of(task.cell.config), task.data.prepared.eval["id"])
    from persona_sweeps.models.quantization import weights_bytes

    resources = clock.share(task.prediction_id) | {
        "weights_bytes": weights_bytes(base.model),
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_device_bytes": peak_device_bytes(),
        "device": str(base.model.device),
    }
    fingerprints = {
        "data_fingerprint": task.data.prepared.data_fingerprint,
        "template_fingerprint": task.data.prepared.template_fingerprint,
        "model_fingerprint": base.fingerprint,
    }
    head = prediction_head(task.cell, task.request, examples, task.data.evaluation_counts, resources, fingerprints)
    try:
        task.run.lease.check()
        write_predictions(task.cell.folder, task.prediction_id, head, lines)
    except Exception as error:
        failed.setdefault(task.run.cell.run_id, error)


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
        "request": asdict(request),
        "decoding": cell.resolved["generation"] if texts else None,
        "seed": cell.config.seed if texts and cell.config.peft.has_model and cell.config.generation.samples else None,
        "items_digest": items_digest(examples),
        "data": counts,
        "resources": resources,
        "provenance": {"created": now(), **environment(), **fingerprints},
    }
