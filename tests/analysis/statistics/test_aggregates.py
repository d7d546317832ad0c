"""Metrics from sums over items equal the metrics computed from all items, whatever is left out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from analysis.statistics.aggregates import corpus, sums_by_cluster

WORDS = st.lists(st.sampled_from(["to", "be", "or", "not", "sleep,", "dream.", "Ay"]), max_size=9).map(" ".join)
LINES = st.lists(st.tuples(WORDS, WORDS, st.integers(0, 3)), min_size=1, max_size=12)


def lines_of(drawn: list[tuple[str, str, int]]) -> list[dict[str, Any]]:
    return [
        {"id": str(n), "cluster": f"c{cluster}", "prediction": prediction, "reference": reference}
        for n, (prediction, reference, cluster) in enumerate(drawn)
    ]


@given(LINES)
def test_bleu_from_sums_is_sacrebleus_of_the_corpus(drawn: list[tuple[str, str, int]]) -> None:
    lines, of = lines_of(drawn), corpus("bleu")
    summed = sums_by_cluster(lines, of)
    predictions, references = [line["prediction"] for line in lines], [line["reference"] for line in lines]
    expected = BLEU(force=True).corpus_score(predictions, [references]).score / 100
    assert of.value(summed.sums.sum(axis=0)) == pytest.approx(min(1.0, expected), abs=1e-9)


@given(LINES)
def test_bleu_without_a_cluster_is_that_of_the_other_items(drawn: list[tuple[str, str, int]]) -> None:
    lines, of = lines_of(drawn), corpus("bleu")
    summed = sums_by_cluster(lines, of)
    without = of.value(summed.sums.sum(axis=0) - summed.sums)
    for cluster, value in zip(summed.clusters, without, strict=True):
        rest = [line for line in lines if line["cluster"] != cluster]
        texts, targets = [line["prediction"] for line in rest], [line["reference"] for line in rest]
        expected = BLEU(force=True).corpus_score(texts, [targets]).score / 100 if rest else 0.0
        assert value == pytest.approx(min(1.0, expected), abs=1e-9)


def test_likelihoods_weigh_tokens_and_bytes_and_rouge_weighs_items() -> None:
    rows = [(2.0, 3, 10, 0.5, "a"), (4.0, 9, 30, 0.1, "a"), (1.0, 6, 20, 0.3, "b")]
    lines = [
        {"id": str(n), "cluster": cluster, "completion_nll": nll, "completion_tokens": tokens,
         "completion_bytes": size, "rougeL": rouge}
        for n, (nll, tokens, size, rouge, cluster) in enumerate(rows)
    ]  # fmt: skip
    total = sum(nll * tokens for nll, tokens, *_ in rows)

    def value(metric: str) -> float:
        of = corpus(metric)
        return float(of.value(sums_by_cluster(lines, of).sums.sum(axis=0)))

    assert value("completion_nll") == pytest.approx(total / 18)
    assert value("completion_ppl") == pytest.approx(math.exp(total / 18))
    assert value("bits_per_byte") == pytest.approx(total / math.log(2) / 60)
    assert value("rougeL") == pytest.approx(0.3)


def test_the_same_items_are_known_whatever_their_order() -> None:
    lines = lines_of([("a", "b", 0), ("c", "d", 1), ("e", "f", 1)])
    of = corpus("bleu")
    one, other = sums_by_cluster(lines, of), sums_by_cluster(lines[::-1], of)
    assert one.ids == other.ids and one.clusters == other.clusters and np.array_equal(one.sums, other.sums)
    assert one.ids != sums_by_cluster(lines[:2], of).ids
