"""Make the predictions that are missing: of many runs in shared passes of one base model, whoever trained them.

A run answers from its folder, never from what training left in memory: so it gives the same predictions today and
next year, alone or in a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Example
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
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.engine import Engine


@dataclass(frozen=True, slots=True)
class Question:
    """Predictions to be made: a request to the predictor at `index` in the engine's stack."""

    index: int
    run: GroupRun
    cell: Cell
    data: GroupData
    request: Request
    prediction_id: str


def predict(
    engine: Engine,
    base: BaseModel,
    runs: Sequence[GroupRun],
    data: Callable[[Cell], GroupData],
    say: Callable[[str], None],
) -> dict[str, Exception]:
    """Make and write what is missing of these runs' predictions; return the error of each run that can't answer.

    Raises what a shared pass raises: then it isn't known whose error it is.
    """
    failed: dict[str, Exception] = {}
    questions: list[Question] = []
    for run in runs:
        try:
            questions += _questions(engine, base, run, data, say)
        except Exception as error:
            failed[run.cell.run_id] = error
    clock = GroupClock()
    for question in questions:
        clock.join(question.prediction_id)
    for some in _rounds([q for q in questions if q.request.kind == "nll"]):
        sums = engine.sequence_nll({q.index: q.data.asked(q.request) for q in some})
        clock.lap({q.prediction_id: len(q.data.ids) for q in some})
        for q in some:
            counts = [sequence.labels for sequence in q.data.asked(q.request)]
            values = zip(sums[q.index].tolist(), counts, q.data.prepared.eval["completion_bytes"], strict=True)
            answers = [{"nll": nll, "tokens": count, "bytes": size} for nll, count, size in values]
            _write(q, answers, base, clock, failed)
    for same in _by_decoding([q for q in questions if q.request.kind == "text"]):
        texts = _texts(engine, base, same)
        clock.lap({q.prediction_id: len(q.data.ids) for q in same})
        for q in same:
            count = len(q.data.prompts)
            own, texts = texts[:count], texts[count:]
            _write(q, [{"text": text} for text in own], base, clock, failed)
    return failed


def items_digest(examples: Sequence[Example]) -> str:
    """Return the hash of evaluated examples and what their prompts show, before any model's template."""
    told = [
        [e.id, e.prompt if isinstance(e.prompt, str) else [[m.role, m.content] for m in e.prompt], e.completion]
        for e in sorted(examples, key=lambda e: e.id)
    ]
    return digest(told)


def _questions(
    engine: Engine, base: BaseModel, run: GroupRun, data: Callable[[Cell], GroupData], say: Callable[[str], None]
) -> list[Question]:
    """Read what a run trained into the engine's stack, and list what is missing of its predictions."""
    missing: dict[str, tuple[Cell, Request]] = {}
    for cell in run.cells:
        for request, name in cell.missing().items():
            missing[name] = cell, request
            if sentence := set_aside_broken(cell.folder, name):
                say(sentence)
    if not missing:
        return []
    index = engine.answer(run.cell.config.peft.load(base.model, run.cell.folder.path))
    return [Question(index, run, cell, data(cell), request, name) for name, (cell, request) in missing.items()]


def _rounds(questions: Sequence[Question]) -> Iterator[list[Question]]:
    """Yield all questions, each predictor at most once in a round, which is one set of passes."""
    left = list(questions)
    while left:
        chosen = list({q.index: q for q in reversed(left)}.values())[::-1]
        yield chosen
        left = [q for q in left if q not in chosen]


def _by_decoding(questions: Sequence[Question]) -> Iterator[list[Question]]:
    groups: dict[str, list[Question]] = {}
    for q in questions:
        groups.setdefault(f"{q.cell.config.generation} {q.data.prepared.stop_token_ids}", []).append(q)
    yield from groups.values()


def _texts(engine: Engine, base: BaseModel, questions: Sequence[Question]) -> list[str]:
    """Generate the texts of questions with the same decoding, side by side."""
    from persona_sweeps.prediction.generation import generate, requests

    asked = [
        request for q in questions for request in requests(q.index, q.data.prompts, q.data.ids, q.cell.config.seed)
    ]
    first = questions[0]
    tokens = generate(engine, asked, first.cell.config.generation, first.data.prepared.stop_token_ids)
    return [str(base.tokenizer.decode(ids, skip_special_tokens=True)).strip() for ids in tokens]


def _write(
    q: Question, answers: Sequence[dict[str, Any]], base: BaseModel, clock: GroupClock, failed: dict[str, Exception]
) -> None:
    """Write the answers to one question; an error is this run's own."""
    columns = ("id", "cluster", "persona", "prompt", "completion")
    lines = [
        {**{("reference" if key == "completion" else key): row[key] for key in columns}, **finite(answer)}
        for row, answer in zip(q.data.prepared.eval, answers, strict=True)
    ]
    kept = set(q.data.ids)
    examples = [example for example in load_corpus(q.cell.config.dataset).eval if example.id in kept]
    from persona_sweeps.models.quantization import weights_bytes

    resources = clock.share(q.prediction_id) | {
        "weights_bytes": weights_bytes(base.model),
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_device_bytes": peak_device_bytes(),
        "device": str(base.model.device),
    }
    fingerprints = {
        "data_fingerprint": q.data.prepared.data_fingerprint,
        "template_fingerprint": q.data.prepared.template_fingerprint,
        "model_fingerprint": base.fingerprint,
    }
    head = prediction_head(q.cell, q.request, examples, q.data.evaluation_counts, resources, fingerprints)
    try:
        q.run.lease.check()
        write_predictions(q.cell.folder, q.prediction_id, head, lines)
    except Exception as error:
        failed.setdefault(q.run.cell.run_id, error)


def prediction_head(
    cell: Cell,
    request: Request,
    examples: Sequence[Example],
    counts: dict[str, Any],
    resources: dict[str, Any],
    fingerprints: dict[str, str],
) -> dict[str, Any]:
    """Return what the head of predictions says beside what vouches for their lines."""
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
