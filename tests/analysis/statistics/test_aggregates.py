"""Metrics from sums over items equal the metrics computed from all items, whatever is left out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from analysis.read.measures import described
from analysis.statistics.aggregates import NoAggregate, aggregate, item_scores, sums_by_cluster
from tests.analysis.records import DESCRIPTIONS
from tests.analysis.records import described as description
from tests.analysis.simulated import of
from tests.analysis.synthetic_runs import bleu_counts

WORDS = st.lists(st.sampled_from(["to", "be", "or", "not", "sleep,", "dream.", "Ay"]), max_size=9).map(" ".join)
LINES = st.lists(st.tuples(WORDS, WORDS, st.integers(0, 3)), min_size=1, max_size=12)


def lines_of(drawn: list[tuple[str, str, int]]) -> list[dict[str, Any]]:
    return [
        {"id": str(n), "cluster": f"c{cluster}", "prediction": prediction, "reference": reference,
         "bleu_counts": bleu_counts(prediction, reference)}
        for n, (prediction, reference, cluster) in enumerate(drawn)
    ]  # fmt: skip


def sacrebleu_of(lines: list[dict[str, Any]]) -> float:
    if not lines:
        return 0.0
    predictions, references = [line["prediction"] for line in lines], [line["reference"] for line in lines]
    return min(1.0, BLEU(force=True).corpus_score(predictions, [references]).score / 100)


@given(LINES)
def test_bleu_from_counts_is_sacrebleus_of_the_corpus(drawn: list[tuple[str, str, int]]) -> None:
    lines, bleu = lines_of(drawn), of("bleu")
    summed = sums_by_cluster(lines, bleu)
    assert bleu.value(summed.sums.sum(axis=0)) == pytest.approx(sacrebleu_of(lines), abs=1e-9)


@given(LINES)
def test_bleu_without_a_cluster_is_that_of_the_other_items(drawn: list[tuple[str, str, int]]) -> None:
    lines, bleu = lines_of(drawn), of("bleu")
    summed = sums_by_cluster(lines, bleu)
    without = bleu.value(summed.sums.sum(axis=0) - summed.sums)
    for cluster, value in zip(summed.clusters, without, strict=True):
        rest = [line for line in lines if line["cluster"] != cluster]
        assert value == pytest.approx(sacrebleu_of(rest), abs=1e-9)


ROWS = [(2.0, 3, 10, 0.5, "a"), (4.0, 9, 30, 0.1, "a"), (1.0, 6, 20, 0.3, "b")]
ITEMS = [
    {"id": str(n), "cluster": cluster, "completion_nll": nll, "completion_tokens": tokens, "completion_bytes": size,
     "rougeL": rouge}
    for n, (nll, tokens, size, rouge, cluster) in enumerate(ROWS)
]  # fmt: skip


def test_likelihoods_weigh_tokens_and_bytes_and_rouge_weighs_items() -> None:
    total = sum(nll * tokens for nll, tokens, *_ in ROWS)

    def value(metric: str) -> float:
        return float(of(metric).value(sums_by_cluster(ITEMS, of(metric)).sums.sum(axis=0)))

    assert value("completion_nll") == pytest.approx(total / 18)
    assert value("completion_ppl") == pytest.approx(math.exp(total / 18))
    assert value("bits_per_byte") == pytest.approx(total / math.log(2) / 60)
    assert value("rougeL") == pytest.approx(0.3)


def test_an_item_has_its_own_value_where_that_means_something() -> None:
    known = [described(name, DESCRIPTIONS[name]) for name in ("completion_ppl", "bits_per_byte", "rougeL", "bleu")]
    scorers = item_scores(known)
    assert [measure.short for measure, _ in scorers] == ["completion_ppl", "bits_per_byte", "rougeL"], (
        "BLEU pools counts"
    )
    expected = [math.exp(2.0), 2.0 * 3 / math.log(2) / 10, 0.5]
    assert [score(ITEMS[0]) for _, score in scorers] == pytest.approx(expected)
    assert [score({"rougeL": None, "completion_nll": "x"}) for _, score in scorers] == [None] * 3


def test_the_same_items_are_known_whatever_their_order() -> None:
    lines = lines_of([("a", "b", 0), ("c", "d", 1), ("e", "f", 1)])
    one, other = sums_by_cluster(lines, of("bleu")), sums_by_cluster(lines[::-1], of("bleu"))
    assert one.ids == other.ids and one.clusters == other.clusters and np.array_equal(one.sums, other.sums)
    assert one.ids != sums_by_cluster(lines[:2], of("bleu")).ids


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "doesn't say how it follows from items"),
        ({"form": "median"}, "doesn't say how it follows from items"),
        ({"form": ["mean"]}, "doesn't say how it follows from items"),
        ({"form": "mean"}, "its aggregate can't be read"),
        ({"form": "ratio", "numerator": "a", "denominator": ["b"]}, "its aggregate can't be read"),
        ({"form": "ratio", "numerator": ["a"], "denominator": ["b"], "scale": "much"}, "its aggregate can't be read"),
    ],
)
def test_a_description_that_cannot_be_followed_is_a_sentence(said: dict[str, Any], why: str) -> None:
    with pytest.raises(NoAggregate, match=f"No interval of Odd: .*{why}"):
        aggregate(described("odd", description("Odd", aggregate=said)))


def test_an_item_that_weighs_less_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="completion_tokens is -1"):
        sums_by_cluster([ITEMS[0] | {"completion_tokens": -1}], of("completion_nll"))
