"""What a run's record is worth to a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from persona_sweeps.errors import TrialError, did_you_mean


def objective_values(record: Mapping[str, Any], metrics: Sequence[str]) -> list[float]:
    """Return the values of the metrics: a name in `metrics`, or a dotted place in the record.

    Raises TrialError for one that the record lacks, or that isn't a finite number.
    """
    return [_value(record, metric) for metric in metrics]


def _value(record: Mapping[str, Any], metric: str) -> float:
    found: Any = record.get("metrics", {}).get(metric) if "." not in metric else record
    if "." in metric:
        for part in metric.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, int | float) and math.isfinite(found):
        return float(found)
    known = sorted(record.get("metrics", {}))
    suggestion = did_you_mean(metric, known)
    raise TrialError(f"hydra.sweeper.metric={metric} is not in the record, which has {', '.join(known)}.{suggestion}")
