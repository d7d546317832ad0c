"""Name what a config asks for: its run, its predictions and its evaluation. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from persona_sweeps.config.schema import RunConfig
from persona_sweeps.data.run_data import RunData
from persona_sweeps.metrics.metric import HELD_OUT, Metric, Request
from persona_sweeps.metrics.prompt_sets import prompt_set
from persona_sweeps.models.source import Weights
from persona_sweeps.records.identity import (
    OF_READING,
    base_identity,
    digest,
    evaluation_id,
    prediction_id,
    run_identity,
)


@dataclass(frozen=True, slots=True)
class Identified:
    """The names of a config's run, predictions and evaluation, and the metrics that its predictor can answer."""

    run_id: str
    setting_key: str
    requests: dict[Request, str]
    evaluation_id: str
    metrics: dict[str, Metric]


def identify(
    config: RunConfig, resolved: Mapping[str, Any], weights: Weights, evaluated: Sequence[str] | None
) -> Identified:
    """Name what a config asks for. `evaluated` are the ids that fit, of a run without a model."""
    peft, data = config.peft, RunData.of(config)
    model = weights.identity if peft.has_model else None
    run = run_identity(resolved, peft, data.corpus.train_fingerprint, model, peft.fingerprint())
    metrics = {name: metric for name, metric in config.metrics.items() if _can_answer(config, metric)}
    # Without a model its tokenizer still says which examples are evaluated, so they count themselves.
    fitting = digest(sorted(evaluated)) if evaluated is not None else config.train.max_length
    reading = {key: resolved["dataset"].get(key) for key in OF_READING} if peft.has_model else None
    requests = {}
    for request in dict.fromkeys(request for metric in metrics.values() for request in metric.requests()):
        asked = _as_asked(request, config)
        content = _content(asked, metrics.values(), data)
        by_base = asked.by == "base"
        requests[request] = prediction_id(
            base_identity(resolved, model) if by_base else run.run_id,
            asked.as_record(),
            [content, fitting, None if by_base else peft.prompt_key(config), reading],
            resolved["generation"] if asked.kind == "text" else None,
            _seed(asked, config),
        )
    versions = {name: version(metric, data) for name, metric in metrics.items()}
    return Identified(run.run_id, run.setting_key, requests, evaluation_id(requests.values(), versions), metrics)


def version(metric: Metric, data: RunData) -> str:
    """Return what distinguishes ways of scoring the same predictions: the metric's version, and what it reads."""
    read = metric.fingerprint(data)
    return metric.version() if read is None else f"{metric.version()} {read}"


def _can_answer(config: RunConfig, metric: Metric) -> bool:
    return config.peft.has_model or not any(request.needs_model for request in metric.requests())


def _as_asked(request: Request, config: RunConfig) -> Request:
    """Return a request as it is answered: the untuned base answers a metric's own prompts once, not twice."""
    own = request.prompt_set != HELD_OUT
    return replace(request, by="base") if own and config.peft.is_base else request


def _content(request: Request, metrics: Iterable[Metric], data: RunData) -> str:
    """Return the hash of the prompts of a request."""
    if request.prompt_set == HELD_OUT:
        return data.corpus.eval_fingerprint
    return prompt_set(metrics, request.prompt_set, data).fingerprint


def _seed(request: Request, config: RunConfig) -> int | None:
    samples = request.kind == "text" and config.peft.has_model and config.generation.samples
    return config.seed if samples else None
