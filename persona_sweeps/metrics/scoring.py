"""Score predictions by several metrics at once, as `metrics=` names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from persona_sweeps.errors import ConfigError
from persona_sweeps.metrics.metric import Description, Metric, Predictions, Scores


def describe(metrics: Mapping[str, Metric]) -> dict[str, Description]:
    """Return the descriptions of all values, each with the name of its metric as its family.

    Raises ConfigError where two metrics give a value of one name.
    """
    found: dict[str, Description] = {}
    for family, metric in metrics.items():
        for name, description in metric.describe().items():
            if name in found:
                raise ConfigError(
                    f"metrics.{found[name].family} and metrics.{family} both give a value {name}: choose one of them."
                )
            found[name] = replace(description, family=family)
    return found


def score(metrics: Mapping[str, Metric], predictions: Predictions) -> Scores:
    """Score predictions by each metric; an item has the columns of all. Raises what `Metric.score` raises."""
    count = len(next(iter(predictions.values()), ()))
    whole: dict[str, float] = {}
    items: list[dict[str, Any]] = [{} for _ in range(count)]
    for metric in metrics.values():
        scores = metric.score(predictions)
        whole |= scores.whole
        for item, columns in zip(items, scores.items or [{}] * count, strict=True):
            item |= columns
    return Scores(whole, items)
