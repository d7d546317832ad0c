"""The project's own metrics describe themselves so that their values follow from their items."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from analysis.read.measures import described
from analysis.statistics.aggregates import aggregate, sums_by_cluster
from persona_sweeps.metrics.likelihood import Likelihood
from persona_sweeps.metrics.metric import NLL, NLL_ALL_TOKENS, TEXT, Metric
from persona_sweeps.metrics.overlap.overlap import Overlap
from tests.analysis.records import DESCRIPTIONS

SAID = ("to be or not to be", "the rest is silence", "", "Ay, there is the rub that I spoke of")
METRICS = (Likelihood(all_tokens=True), Overlap(stemmer=False, meteor=False, ignore_case=True))


def lines() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    found = []
    for n in range(24):
        tokens = int(rng.integers(1, 20))
        texts = {"reference": SAID[(n + n // 4) % 4] or "Nay", "text": SAID[n % 4]}
        likelihood = {"nll": float(rng.gamma(3, 1)) * tokens, "tokens": tokens, "bytes": 4 * tokens}
        found.append({"id": str(n), "cluster": f"scene {n // 3}", **texts, **likelihood})
    return found


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: type(metric).__name__)
def test_each_value_is_what_the_described_aggregate_gives(metric: Metric) -> None:
    said = lines()
    scores = metric.score({request: said for request in (NLL, NLL_ALL_TOKENS, TEXT)})
    places = [{key: line[key] for key in ("id", "cluster")} for line in said]
    samples = [place | item for place, item in zip(places, scores.items, strict=True)]
    descriptions = metric.describe()
    assert set(scores.whole) == set(descriptions)
    for name, value in scores.whole.items():
        measure = described(name, descriptions[name].as_record())
        of = aggregate(measure)
        assert float(of.value(sums_by_cluster(samples, of).sums.sum(axis=0))) == pytest.approx(value, rel=1e-9)
        assert measure.low <= value <= measure.high
        assert (measure.higher_is_better is None) is (name == "length_ratio")
        assert measure.explanation.startswith(measure.label) and math.isfinite(float(measure.form(value)))


def test_the_descriptions_that_other_tests_use_are_theirs() -> None:
    own = {name: found.as_record() for metric in METRICS for name, found in metric.describe().items()}
    for name, found in DESCRIPTIONS.items():
        expected = own[name] | {"version": found["version"], "family": found["family"]}
        assert found["explanation"] == expected["explanation"], name
        assert found == expected, name
