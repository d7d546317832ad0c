"""What a metric says of its values is true: the whole follows from items, in the range and direction it names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics.aggregates import ngram_precision
from persona_sweeps.config.kinds import METRICS
from persona_sweeps.metrics.metric import (
    NLL,
    NLL_ALL_TOKENS,
    TEXT,
    Line,
    Metric,
    Predictions,
    Scores,
)

ALL: dict[str, Metric] = {
    "likelihood": METRICS.make("likelihood", {"all_tokens": True}),
    "overlap": METRICS.make("overlap", {"stemmer": False, "meteor": True, "ignore_case": True}),
}
DESCRIBED = {name: one for metric in ALL.values() for name, one in metric.describe().items()}
WORDS = st.lists(st.sampled_from(["to", "be", "or", "not", "the", "question", "raven"]), max_size=9).map(" ".join)
NLLS = st.tuples(st.floats(0, 300), st.integers(1, 90), st.integers(1, 400))
ITEMS = st.lists(st.tuples(NLLS, NLLS, WORDS, WORDS), min_size=1, max_size=6)


def predictions(items: Sequence[tuple]) -> Predictions:
    """Return all that the metrics ask for, of items (completion NLL, NLL of all tokens, text, reference)."""

    def lines(column: int) -> list[Line]:
        names = ("nll", "tokens", "bytes")
        return [dict(zip(names, item[column], strict=True)) | {"reference": item[3]} for item in items]

    return {NLL: lines(0), NLL_ALL_TOKENS: lines(1), TEXT: [{"text": i[2], "reference": i[3]} for i in items]}


def scored(answers: Predictions) -> Scores:
    """Return what all metrics give."""
    both = [metric.score(answers) for metric in ALL.values()]
    items = [one | other for one, other in zip(*(scores.items for scores in both), strict=True)]
    return Scores(both[0].whole | both[1].whole, items)


def whole(aggregate: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> float:
    """Compute a value from any items as its description says, with nothing of the metric's own code."""
    if aggregate["form"] == "mean":
        return sum(item[aggregate["of"]] for item in items) / len(items)
    if aggregate["form"] == "ngram_precision":
        return float(ngram_precision(np.sum([item[aggregate["of"]] for item in items], axis=0, dtype=float)))
    assert aggregate["form"] == "ratio"
    above, below = (
        sum(math.prod(item[column] for column in aggregate[side]) for item in items)
        for side in ("numerator", "denominator")
    )
    value = above / below * aggregate["scale"]
    return math.exp(value) if aggregate["exp"] else value


@settings(max_examples=60, deadline=None)
@given(ITEMS)
def test_each_value_follows_from_the_items_as_described(items: list[tuple]) -> None:
    scores = scored(predictions(items))
    without_words = not any(item[3] for item in items)
    assert scores.whole.keys() == DESCRIBED.keys() - ({"length_ratio"} if without_words else set())
    for name, value in scores.whole.items():
        assert value == pytest.approx(whole(DESCRIBED[name].aggregate, scores.items), rel=1e-9), name


@settings(max_examples=60, deadline=None)
@given(ITEMS)
def test_each_value_lies_in_its_range(items: list[tuple]) -> None:
    for name, value in scored(predictions(items)).whole.items():
        low, high = DESCRIBED[name].range
        assert low is not None and low <= value and (high is None or value <= high), name


def test_a_better_answer_is_better_in_the_direction_described() -> None:
    worse = predictions([((50.0, 9, 40), (70.0, 20, 80), "to be the raven", "to be or not to be")])
    better = predictions([((5.0, 9, 40), (7.0, 20, 80), "to be or not to be", "to be or not to be")])
    low, high = (scored(answers).whole for answers in (worse, better))
    assert {name: high[name] > low[name] for name in low if name != "length_ratio"} == {
        name: one.higher_is_better for name, one in DESCRIBED.items() if one.higher_is_better is not None
    }
    assert low["length_ratio"] == pytest.approx(4 / 6) and high["length_ratio"] == 1


def test_tables_show_likelihoods_first_and_rank_by_what_tokenizers_share_after_them() -> None:
    order = sorted((name for name in DESCRIBED if DESCRIBED[name].headline), key=lambda n: -DESCRIBED[n].headline)
    assert [DESCRIBED[name].label for name in order] == ["PPL", "bits/byte", "ROUGE-L", "BLEU"]
    assert [name for name, one in DESCRIBED.items() if one.per_token] == [
        name for name in DESCRIBED if name.endswith(("_nll", "_ppl")) and name != "word_ppl"
    ]
    assert {name for name, one in DESCRIBED.items() if one.log_scale} == {
        "completion_ppl", "all_tokens_ppl", "word_ppl",
    }  # fmt: skip


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_description_is_complete_and_goes_through_json(name: str) -> None:
    one = DESCRIBED[name]
    assert format(1.23456, one.format) and one.label and one.version
    assert one.explanation.startswith(f"{one.label} is ") and not one.explanation.endswith(".")
    record = one.as_record()
    assert json.loads(json.dumps(record)) == record
