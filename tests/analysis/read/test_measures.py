"""Descriptions are read as they are; what makes no sense in one is as good as not said."""

from __future__ import annotations

import math
from typing import Any

import pytest

from analysis.read.measures import NumberFormat, described, measures
from analysis.read.selection import read_all
from tests.analysis.outputs import Outputs
from tests.analysis.records import DESCRIPTIONS


def test_a_metric_is_what_its_description_says() -> None:
    found = described("completion_ppl", DESCRIPTIONS["completion_ppl"])
    assert (found.name, found.short, found.label) == ("metrics.completion_ppl", "completion_ppl", "PPL")
    assert found.higher_is_better is False and found.sign == 1 and found.direction == "lower is better"
    assert (found.low, found.high) == (1.0, math.inf) and found.per_token and found.log_scale
    assert found.form(12.345) == "12.35" and found.form(123_456.0) == "1.23e+05"


@pytest.mark.parametrize(
    "said",
    [None, 7, [], {"label": 3, "range": "0-1", "format": "{0.__class__}", "higher_is_better": "yes", "headline": "big"},
     {"range": [1], "format": ".99f", "aggregate": [], "per_token": 1, "version": None, "headline": 1e400}],
)  # fmt: skip
def test_a_description_without_sense_says_nothing(said: Any) -> None:
    found = described("odd", said)
    assert (found.label, found.higher_is_better, found.aggregate, found.headline) == ("odd", None, None, 0)
    assert (found.low, found.high) == (-math.inf, math.inf) and not found.per_token
    assert found.form(1.23456) == "1.235"


@pytest.mark.parametrize(
    ("spec", "value", "text"),
    [(".3f", 0.12345, "0.123"), (",.0f", 1234567.0, "1,234,567"), (".1%", 0.256, "25.6%"), (".2f", 1e9, "1e+09"),
     (".2e", 12345.0, "1.23e+04"), (".0f", 12345.6, "12346"), (".3f", float("inf"), "inf"),
     (".3f", float("nan"), "nan")],
)  # fmt: skip
def test_numbers_are_written_by_the_format(spec: str, value: float, text: str) -> None:
    assert NumberFormat(spec)(value) == text


def test_a_count_is_written_whole_though_its_mean_over_seeds_may_not_be() -> None:
    assert described("count", {"format": ",d"}).form(1234.6) == "1,235"


def test_headlines_come_first_and_then_what_was_seen_first(outputs: Outputs) -> None:
    outputs.run()
    known = measures(read_all(outputs.root).results)
    assert [measure.short for measure in known.headlines()] == ["completion_ppl", "bits_per_byte", "rougeL", "bleu"]
    assert [measure.short for measure in known][4:] == ["rouge1", "rouge2", "rougeLsum"]
    assert [measure.short for measure in known.without(known["metrics.bleu"])][3] == "rouge1"


def test_any_other_number_is_known_by_its_path(outputs: Outputs) -> None:
    outputs.run()
    known = measures(read_all(outputs.root).results)
    assert known["training.tokens"].label == "training tokens" and known["training.tokens"].higher_is_better is False
    assert known["resources.anything"].higher_is_better is False, "what training took is never too little"
    assert known["metrics.unheard"].higher_is_better is None and known["metrics.unheard"].label == "unheard"
