"""Which run of a sweep is ahead while it goes on, as far as that can be said at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from persona_sweeps.records.evaluation import Outcome


@dataclass
class BestSoFar:
    """The best of the evaluations that may be compared with one another, by their largest headline.

    A metric that counts a tokenizer's tokens compares no models, and evaluations of other items aren't compared at all:
    then there is no best.
    """

    _key: str | None = None
    _metric: str | None = None
    _values: dict[str, float] = field(default_factory=dict)
    _description: Mapping[str, Any] = field(default_factory=dict)
    _is_one_kind: bool = True

    def add(self, label: str, outcome: Outcome) -> None:
        """Take note of an evaluation, of the run that people know as `label`."""
        metric = _largest(outcome.descriptions)
        value = outcome.metrics.get(metric) if metric is not None else None
        if metric is None or value is None or not math.isfinite(value):
            return
        key = str(outcome.evaluation.get("comparability_key"))
        if self._key is None:
            self._key, self._metric, self._description = key, metric, outcome.descriptions[metric]
        self._is_one_kind = self._is_one_kind and (key, metric) == (self._key, self._metric)
        self._values[label] = value

    @property
    def sentence(self) -> str:
        """Say which is ahead, without saying that it is better; nothing of fewer than two."""
        if not self._is_one_kind or len(self._values) < 2:
            return ""
        best = (max if self._description["higher_is_better"] else min)(
            self._values, key=lambda name: self._values[name]
        )
        value = format(self._values[best], str(self._description["format"]))
        return f"Best of {len(self._values)} so far: {best}, {self._description['label']} {value}."


def _largest(descriptions: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the metric with the largest headline that compares models, and has a direction."""
    found = {
        name: one["headline"]
        for name, one in descriptions.items()
        if one.get("headline") and not one.get("per_token") and one.get("higher_is_better") is not None
    }
    return max(found, key=lambda name: found[name]) if found else None
