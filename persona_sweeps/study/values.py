"""Read the objective values of an evaluated run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from persona_sweeps.errors import TrialError, did_you_mean
from persona_sweeps.records.evaluation import Outcome


def objective_values(outcome: Outcome, metrics: Sequence[str]) -> list[float]:
    """Return the values of the metrics: each is an evaluation's value by name, or a dotted key of the run's record.

    Raises TrialError for a value that is missing or isn't a finite number.
    """
    return [_value(outcome, metric) for metric in metrics]


def _value(outcome: Outcome, metric: str) -> float:
    value: Any = outcome.metrics.get(metric) if "." not in metric else outcome.run
    if "." in metric:
        for part in metric.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    names = sorted(outcome.metrics)
    suggestion = did_you_mean(metric, names)
    raise TrialError(f"hydra.sweeper.metric={metric} is not in the record, which has {', '.join(names)}.{suggestion}")
