"""Score predictions from their files, without a base model."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from persona_sweeps.data.run_data import RunData
from persona_sweeps.errors import TrialError
from persona_sweeps.metrics.metric import HELD_OUT, Metric, Request, Scores
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.identify import version
from persona_sweeps.records.evaluation import is_evaluated, read_evaluation, write_evaluation
from persona_sweeps.records.files import finite, read_json, write_json
from persona_sweeps.records.identity import RUN_SCHEMA, comparability_key, digest
from persona_sweeps.records.predictions import Predictions, read_predictions
from persona_sweeps.records.provenance import environment, now
from persona_sweeps.running.run_writer import OF_EVALUATION, failure_of

BASE_COLUMNS = ("id", "cluster", "persona", "prompt", "reference")


def score(cell: Cell) -> dict[str, float]:
    """Score a cell's predictions, write its evaluation with a sample for each item, and return the values.

    Scores of another evaluation of the run, from the same predictions and the same way, are reused. Raises TrialError
    if a metric can't score them, and OSError.
    """
    started, cpu = time.perf_counter(), time.process_time()
    answers = {request: _answers(cell, name) for request, name in cell.requests.items()}
    scores = {name: _scores(cell, name, metric, answers) for name, metric in cell.metrics.items()}
    samples = _samples(cell, answers, scores)
    values = {key: value for one in scores.values() for key, value in one.whole.items()}
    spent = {"wall_seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    record = _record(cell, answers, scores, spent)
    write_evaluation(cell.folder, cell.evaluation_id, finite(record), finite(samples))
    return values


def record_failure(cell: Cell, error: BaseException) -> None:
    """Write a failed evaluation with the reason; the run and its predictions stay. Raises OSError."""
    record = _record(cell, {}, {}, {}) | {"failure": failure_of(error)}
    write_json(cell.folder.evaluation(cell.evaluation_id), finite(record))


def _answers(cell: Cell, prediction_id: str) -> Predictions:
    predictions = read_predictions(cell.folder, prediction_id)
    if predictions is None:
        raise TrialError(f"the predictions {cell.folder.prediction_lines(prediction_id)} can't be read")
    return predictions


def score_key(cell: Cell, metric: Metric) -> str:
    """Return a hash of the predictions and the metric's version: scorings with the same hash have the same result."""
    predictions = sorted(cell.requests[request] for request in metric.requests())
    return digest([version(metric, RunData.of(cell.config)), predictions])


def _scores(cell: Cell, name: str, metric: Metric, answers: Mapping[Request, Predictions]) -> Scores:
    key = score_key(cell, metric)
    for earlier in _earlier(cell, name, key):
        return earlier
    return metric.score_with(_common(metric, answers), RunData.of(cell.config))


def _common(metric: Metric, answers: Mapping[Request, Predictions]) -> dict[Request, list[Mapping[str, Any]]]:
    """Return the answers to a metric's requests; held-out ones for the items that all of them have, in one order.

    Texts may be asked for other items than likelihoods: for some of them (generation.limit), or for prompts of a source
    whose examples are whole texts.
    """
    held_out = [request for request in metric.requests() if request.prompt_set == HELD_OUT]
    lines = {request: {line["id"]: line for line in answers[request].lines} for request in held_out}
    first = next(iter(lines.values()), {})
    ids = [name for name in first if all(name in of_request for of_request in lines.values())]
    common = {request: [of_request[name] for name in ids] for request, of_request in lines.items()}
    return {r: common[r] if r in common else list(answers[r].lines) for r in metric.requests()}


def _lines(metric: Metric, answers: Mapping[Request, Predictions], scores: Scores) -> Sequence[Mapping[str, Any]]:
    """Return the predictions that a metric's items belong to."""
    return scores.lines if scores.lines is not None else next(iter(_common(metric, answers).values()))


def _earlier(cell: Cell, name: str, key: str) -> Iterator[Scores]:
    """Yield a metric's scores from other evaluations of the run with the same score key."""
    for path in sorted(cell.folder.evaluations.glob("*.json")) if cell.folder.evaluations.is_dir() else []:
        record = read_evaluation(cell.folder, path.stem) if is_evaluated(cell.folder, path.stem) else None
        scored = ((record or {}).get("scored") or {}).get(name)
        if record is None or scored is None or scored["key"] != key:
            continue
        try:
            text = cell.folder.samples(path.stem).read_text(encoding="utf-8")
            items = [json.loads(line) for line in text.splitlines()]
            whole = {value: record["metrics"][value] for value in scored["values"]}
            if any(value is None for value in whole.values()):
                continue  # it wasn't finite, and JSON can't hold its value
            columns = scored["columns"]
            said = {"remarks": tuple(scored.get("remarks", ())), "details": scored.get("details", {})}
            if columns:
                of_metric = [item for item in items if any(column in item for column in columns)]
                of_items = [{c: item[c] for c in columns if c in item} for item in of_metric]
                yield Scores(whole, of_items, [{c: item[c] for c in BASE_COLUMNS} for item in of_metric], **said)
            else:
                yield Scores(whole, [{} for _ in range(scored["items"])], **said)
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _samples(cell: Cell, answers: Mapping[Request, Predictions], scores: Mapping[str, Scores]) -> list[dict[str, Any]]:
    """Return a row for each item: the prompt, the prediction, and the columns of the metrics that scored it."""
    rows: dict[str, dict[str, Any]] = {}
    for request, predictions in answers.items():
        for line in predictions.lines if request.prompt_set == HELD_OUT else ():
            row = rows.setdefault(line["id"], {column: line[column] for column in BASE_COLUMNS} | {"prediction": None})
            if request.kind == "text":
                row["prediction"] = line["text"]
            row |= {key: line[key] for key in line if key not in (*BASE_COLUMNS, "text", "nll", "tokens", "bytes")}
    for name, metric in cell.metrics.items():
        for line, item in zip(_lines(metric, answers, scores[name]), scores[name].items, strict=True):
            row = rows.setdefault(line["id"], {c: line[c] for c in BASE_COLUMNS} | {"prediction": None})
            row |= item
    return list(rows.values())


def _record(
    cell: Cell, answers: Mapping[Request, Predictions], scores: Mapping[str, Scores], spent: Mapping[str, float]
) -> dict[str, Any]:
    values = {key: value for one in scores.values() for key, value in one.whole.items()}
    # The held-out items decide what two rows share, if there are any.
    heads = [answers[request].head for request in sorted(answers, key=lambda request: request.prompt_set != HELD_OUT)]
    first: Mapping[str, Any] = heads[0] if heads else {}
    texts = [head for head in heads if head["request"]["kind"] == "text"]
    run = read_json(cell.folder.record) or {}
    evaluation = {key: cell.resolved[key] for key in ("dataset", *OF_EVALUATION)}
    seeded = cell.config.peft.uses_seed or any(head["seed"] is not None for head in heads)
    fingerprints = {k: v for k, v in (first.get("provenance") or {}).items() if k.endswith("_fingerprint")}
    return {
        "schema_version": RUN_SCHEMA,
        "evaluation_id": cell.evaluation_id,
        "run_id": cell.run_id,
        "setting_key": cell.setting_key,
        "comparability_key": comparability_key(first["items_digest"], texts[0]["decoding"] if texts else None)
        if heads
        else None,
        "config": {**evaluation, "seed": cell.config.seed if seeded else None, **_max_length(cell)},
        "metrics": values,
        "descriptions": {
            key: description.as_record() | {"family": name}
            for name, metric in cell.metrics.items()
            for key, description in metric.describe().items()
            if key in values
        },
        "personas": _by_persona(cell, answers) if answers else {},
        "scored": {name: _scored(cell, name, one) for name, one in scores.items()},
        "data": {"train_examples": (run.get("data") or {}).get("train_examples"), **(first.get("data") or {})},
        "predictions": {
            cell.requests[request]: dict(predictions.head["request"]) for request, predictions in answers.items()
        },
        "resources": _resources(heads, spent),
        "provenance": {
            "created": now(),
            **environment(),
            **fingerprints,
            "seed": cell.config.seed if seeded else None,
            **({"study": cell.study} if cell.study is not None else {}),
        },
        "failure": None,
    }


def _by_persona(cell: Cell, answers: Mapping[Request, Predictions]) -> dict[str, dict[str, float]]:
    """Return the values of each character's own items; nothing where all items are of one character."""
    held_out = [predictions for request, predictions in answers.items() if request.prompt_set == HELD_OUT]
    lines = (line for predictions in held_out for line in predictions.lines)
    names = dict.fromkeys(line["persona"] for line in lines if line["persona"] is not None)
    if len(names) < 2:
        return {}
    found: dict[str, dict[str, float]] = {name: {"items": 0} for name in names}
    data = RunData.of(cell.config)
    for metric in cell.metrics.values():
        for name, own in _divided(_common(metric, answers)).items():
            if name not in found:
                continue  # a character of the metric's own prompts
            found[name]["items"] = max(found[name]["items"], len(next(iter(own.values()))))
            found[name] |= metric.score_with(own, data).whole
    return found


def _divided(lines: Mapping[Request, Sequence[Mapping[str, Any]]]) -> dict[str, dict[Request, list[Mapping[str, Any]]]]:
    """Divide answers by character; those of none are left out."""
    divided: dict[str, dict[Request, list[Mapping[str, Any]]]] = {}
    for request, of_request in lines.items():
        for line in of_request:
            if line["persona"] is not None:
                divided.setdefault(line["persona"], {}).setdefault(request, []).append(line)
    return divided


def _scored(cell: Cell, name: str, scores: Scores) -> dict[str, Any]:
    """Return what another evaluation of the same predictions needs to reuse these scores."""
    columns = list(dict.fromkeys(column for item in scores.items for column in item))
    metric = cell.metrics[name]
    own = sorted({request.prompt_set for request in metric.requests()} - {HELD_OUT})
    found = {"key": score_key(cell, metric), "values": list(scores.whole), "columns": columns}
    for_readers = {"prompt_sets": own, "remarks": list(scores.remarks), "details": dict(scores.details)}
    return found | {"items": len(scores.items)} | {key: value for key, value in for_readers.items() if value}


def _max_length(cell: Cell) -> dict[str, int]:
    return {"max_length": cell.config.train.max_length} if cell.config.peft.has_model else {}


def _resources(heads: Sequence[Mapping[str, Any]], spent: Mapping[str, float]) -> dict[str, Any]:
    """Return the resources that the predictions and their scoring took."""
    parts = [head["resources"] for head in heads]
    last: dict[str, Any] = dict(parts[-1]) if parts else {}
    total = {
        key: sum(part.get(key) or 0.0 for part in parts) + spent.get(key, 0.0)
        for key in ("wall_seconds", "cpu_seconds")
    }
    return {**last, **total, "scoring_seconds": spent.get("wall_seconds", 0.0)}
