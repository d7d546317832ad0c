"""Results of lm-evaluation-harness: results_*.json, with samples_*.jsonl beside it where samples were logged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from persona_sweeps.errors import DataError

from .record import ForeignEvaluation, ForeignMetric, ForeignRun

SUMMARY = "an output folder of lm_eval (results_*.json, and samples_*.jsonl of --log_samples), or one results file"


def read(path: Path) -> Sequence[ForeignRun]:
    """Return a run a results file. Raises DataError where there is none."""
    files = sorted(path.rglob("results*.json")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: no results*.json, as lm_eval --output_path writes them.")
    return [_read(file) for file in files]


def _read(path: Path) -> ForeignRun:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        results = value["results"]
        items = results.items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: isn't a results file of lm_eval ({type(error).__name__}: {error}).") from error
    arguments = _arguments(value)
    model = str(arguments.get("pretrained") or value.get("model_name") or "?")
    adapter = arguments.get("peft")
    return ForeignRun(
        source=path,
        model=model,
        method="adapter" if adapter else "none",
        label=f"adapter {Path(str(adapter)).name}" if adapter else "untuned",
        dataset=", ".join(results),
        evaluations=[
            _evaluation(path, value, task, of_task) for task, of_task in items if isinstance(of_task, Mapping)
        ],
        config={"peft": {"path": adapter} if adapter else {}},
        trains=bool(adapter),
        created=str(value.get("date") or ""),
    )


def _arguments(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the model's arguments, which some versions write as `pretrained=gpt2,peft=folder`."""
    config = value.get("config")
    given = config.get("model_args") if isinstance(config, Mapping) else None
    if isinstance(given, Mapping):
        return given
    pairs = (part.partition("=") for part in str(given or "").split(","))
    return {key.strip(): text.strip() for key, _, text in pairs if text}


def _evaluation(path: Path, value: Mapping[str, Any], task: str, of_task: Mapping[str, Any]) -> ForeignEvaluation:
    """Return a task's values; keys are `metric,filter`, beside their standard errors."""
    lines = _samples(path, task)
    higher = _of(value, "higher_is_better", task)
    metrics: dict[str, ForeignMetric] = {}
    columns: dict[str, tuple[str, str]] = {}
    for key, number in of_task.items():
        metric, _, kind = key.partition(",")
        if metric.endswith("_stderr") or isinstance(number, bool) or not isinstance(number, int | float):
            continue
        name = metric if kind in ("", "none") else f"{metric}_{kind}".replace("-", "_")
        direction = higher.get(metric) if isinstance(higher.get(metric), bool) else None
        per_item = name if _is_mean(lines, metric, kind, float(number)) else None
        columns |= {name: (metric, kind)} if per_item else {}
        low, high = (0.0, 1.0) if metric.startswith(("acc", "exact_match")) else (None, None)
        metrics[name] = ForeignMetric(float(number), direction, name, low, high, per_item)
    comparable = {
        "task": task,
        "version": _of(value, "versions", task),
        "n_shot": _of(value, "n-shot", task),
        "samples": _of(value, "n-samples", task),
    }
    counts = comparable["samples"]
    items = counts.get("effective") if isinstance(counts, Mapping) else None
    return ForeignEvaluation(comparable, metrics, items, _items(lines, columns))


def _of(value: Mapping[str, Any], part: str, task: str) -> Any:
    found = value.get(part)
    return (found.get(task) if isinstance(found, Mapping) else None) or {}


def _samples(path: Path, task: str) -> list[Mapping[str, Any]]:
    """Return the lines of the samples of a task that were logged with these results; none where there are none."""
    stamp = path.stem.removeprefix("results").lstrip("_")
    found = [file for file in sorted(path.parent.glob(f"samples_{task}_*.jsonl")) if stamp in file.name]
    lines = []
    for number, text in enumerate(found[-1].read_text(encoding="utf-8").splitlines() if found else [], start=1):
        try:
            line = json.loads(text)
        except ValueError as error:
            raise DataError(f"{found[-1]} line {number}: not JSON: {error}.") from error
        if isinstance(line, Mapping) and "doc_id" in line:
            lines.append(line)
    return lines


def _filtered(lines: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [line for line in lines if line.get("filter", "none") == (kind or "none")]


def _is_mean(lines: Sequence[Mapping[str, Any]], metric: str, kind: str, value: float) -> bool:
    """Return whether the value is the mean of the samples': of other aggregates nothing follows item by item."""
    values = [line.get(metric) for line in _filtered(lines, kind)]
    numbers = [float(v) for v in values if isinstance(v, int | float)]
    return bool(numbers) and len(numbers) == len(values) and abs(sum(numbers) / len(numbers) - value) < 1e-6


def _items(lines: Sequence[Mapping[str, Any]], columns: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """Return an item a document with the values of all metrics; each document is a cluster of its own."""
    items: dict[str, dict[str, Any]] = {}
    for name, (metric, kind) in columns.items():
        for line in _filtered(lines, kind):
            document = str(line["doc_id"])
            item = items.setdefault(document, {"id": document, "cluster": document, "prompt": "", "prediction": None})
            item |= {name: float(line[metric])}
            item |= {"reference": str(line.get("target", "")), "prediction": _reply(line)}
    return list(items.values())


def _reply(line: Mapping[str, Any]) -> str | None:
    found = line.get("filtered_resps")
    return str(found[0]) if isinstance(found, list) and found and isinstance(found[0], str) else None
