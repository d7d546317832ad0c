"""What measures of the character describe is true: ranges, the columns of items, and wholes that follow from them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from analysis.read.measures import described
from analysis.statistics.aggregates import aggregate
from persona_sweeps.config.kinds import METRICS
from persona_sweeps.metrics.metric import TEXT, Metric, Predictions, Scores
from tests.metrics.own_prompts import answered, line_of, noise, run_data

DATA = run_data(["Hamlet", "King Claudius"])
KEYS: dict[str, Mapping[str, Any]] = {
    "ranking": {"items": 12, "pmi": True},
    "blending": {"characters": None, "lines": 12},
    "forgetting": {"path": None},
    "boundary": {"path": None},
    "copying": {"min_words": 5},
    "style": {"classifier": "ngrams", "least_auc": 0.5},
}
ALL = {name: METRICS.make(name, keys) for name, keys in KEYS.items()}


def predictions(metric: Metric) -> Predictions:
    if metric.requests() == (TEXT,):
        said = [line for line in DATA.all_characters.held_out if line.persona in DATA.personas][:30]
        return {TEXT: [line_of(line, noise) | {"text": line.completion} for line in said]}
    return answered(metric, DATA, noise, lambda example: noise(example) + 0.3)


@pytest.fixture(scope="module")
def scored() -> dict[str, Scores]:
    return {name: metric.score_with(predictions(metric), DATA) for name, metric in ALL.items()}


@pytest.mark.parametrize("name", ALL)
def test_each_whole_is_in_range_and_follows_from_its_items(scored: dict[str, Scores], name: str) -> None:
    descriptions = ALL[name].describe()
    assert scored[name].whole.keys() == descriptions.keys()
    for value, whole in scored[name].whole.items():
        one = descriptions[value]
        low, high = one.range
        assert (low is None or low <= whole) and (high is None or whole <= high), value
        assert one.explanation.startswith(f"{one.label} is ") and not one.explanation.endswith(".")
        record = one.as_record()
        assert json.loads(json.dumps(record)) == record
        if not one.aggregate:
            continue  # it has no interval
        measure = described(value, record)
        follows = aggregate(measure)
        items = [item for item in scored[name].items if all(column in item for column in follows.columns)]
        sums = [math.fsum(column) for column in zip(*(follows.summands(item) for item in items), strict=True)]
        assert float(follows.value(np.array(sums))) == pytest.approx(whole, rel=1e-9, abs=1e-12), value


def test_columns_of_the_table_have_one_order() -> None:
    places = {value: one.character for metric in ALL.values() for value, one in metric.describe().items()}
    columns = sorted((place, value) for value, place in places.items() if place)
    assert [value for _, value in columns] == ["r10_context", "r10_who", "style", "bleed", "forgetting", "copied"]
    assert not any(one.headline for metric in ALL.values() for one in metric.describe().values())


@pytest.mark.parametrize("name", ALL)
def test_nothing_to_score_has_no_values(name: str) -> None:
    empty = ALL[name].score_with({request: [] for request in ALL[name].requests()}, DATA)
    assert empty.whole == {} and empty.items == []
