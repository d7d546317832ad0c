"""What an evaluated run is worth to a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from persona_sweeps.errors import TrialError, did_you_mean
from persona_sweeps.records.evaluation import Outcome


def objective_values(outcome: Outcome, metrics: Sequence[str]) -> list[float]:
    """Return the values of the metrics: a name among the evaluation's, or a dotted key of the run's record.

    Raises TrialError for one that they lack, or that isn't a finite number.
    """
    return [_value(outcome, metric) for metric in metrics]


def _value(outcome: Outcome, metric: str) -> float:
    found: Any = outcome.metrics.get(metric) if "." not in metric else outcome.run
    if "." in metric:
        for part in metric.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, int | float) and math.isfinite(found):
        return float(found)
    known = sorted(outcome.metrics)
    suggestion = did_you_mean(metric, known)
    raise TrialError(f"hydra.sweeper.metric={metric} is not in the record, which has {', '.join(known)}.{suggestion}")
