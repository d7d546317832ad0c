"""The prompt sets that metrics bring, made once for all runs with the same data."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from persona_sweeps.data.example import Example, examples_sha256
from persona_sweeps.data.run_data import RunData
from persona_sweeps.metrics.metric import Metric

CACHE_SIZE = 32
"""prompt sets that a process keeps, since the cells of a sweep share a few"""
_made: OrderedDict[tuple[str, ...], PromptSet] = OrderedDict()


@dataclass(frozen=True)
class PromptSet:
    """Prompts, each with the completion whose NLL is asked for."""

    examples: Sequence[Example]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what the prompts and completions say."""
        return examples_sha256(self.examples)


def prompt_set(metrics: Iterable[Metric], name: str, data: RunData) -> PromptSet:
    """Return the prompt set of that name, from the first of the metrics that asks for it."""
    metric = next(metric for metric in metrics if any(name == request.prompt_set for request in metric.requests()))
    key = type(metric).__module__, repr(metric), name, data.key
    if key not in _made:
        _made[key] = PromptSet(tuple(metric.prompts(name, data)))
        if len(_made) > CACHE_SIZE:
            _made.popitem(last=False)
    return _made[key]
