"""The data of a run of Hamlet's play, and models that are formulas, for metrics that bring their own prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from persona_sweeps.config.kinds import SOURCES
from persona_sweeps.data.example import Example
from persona_sweeps.data.run_data import RunData
from persona_sweeps.metrics.metric import Line, Metric, Predictions

Model = Callable[[Example], float]
"""returns the NLL of an example's completion, in nats a word"""


def run_data(persona: object = "Hamlet", **keys: object) -> RunData:
    values = {"source": "shakespeare", "persona": persona, "play": "hamlet", "context_lines": 2, "card": "short"}
    return RunData(SOURCES.make("shakespeare", values | keys))


def line_of(example: Example, model: Model) -> Line:
    words = 1 + len(example.completion.split())
    return {
        "id": example.id,
        "cluster": example.cluster,
        "persona": example.persona,
        "prompt": example.prompt_text,
        "reference": example.completion,
        "nll": model(example) * words,
        "tokens": words,
        "bytes": len(example.completion.encode()),
    }


def answered(metric: Metric, data: RunData, run: Model, base: Model | None = None) -> Predictions:
    """Return what models answer to all requests of a metric."""
    return {
        request: [
            line_of(example, base if request.by == "base" and base else run)
            for example in metric.prompts(request.prompt_set, data)
        ]
        for request in metric.requests()
    }


def noise(example: Example) -> float:
    """Draw from the example's text alone, the same each time."""
    import hashlib

    digest = hashlib.sha256(f"{example.id} {example.completion}".encode()).digest()
    return 3 + int.from_bytes(digest[:4], "big") / 2**32


def mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)
