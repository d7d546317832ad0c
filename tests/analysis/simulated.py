"""The project's metrics as functions of sums over items."""

from __future__ import annotations

from analysis.read.measures import described
from analysis.statistics.aggregates import Aggregate, aggregate
from tests.analysis.records import DESCRIPTIONS


def of(metric: str) -> Aggregate:
    """Return how one of the project's metrics follows from items."""
    return aggregate(described(metric, DESCRIPTIONS[metric]))


NLL = of("completion_nll")
