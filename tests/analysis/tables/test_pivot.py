"""The table `pivot`: a number by any config keys."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import pytest

from tests.analysis.outputs import Outputs

MakeTable = Callable[..., Any]


def test_a_pivot_is_mean_and_deviation_over_seeds(outputs: Outputs, make_table: MakeTable) -> None:
    values = {("lora", 0): 2.0, ("lora", 1): 2.5, ("lora", 2): 2.2, ("none", 0): 3.0}
    for (method, seed), value in values.items():
        outputs.run(method, change={"metrics.completion_nll": value, "config.seed": seed})
    table = make_table("pivot", "--rows", "peft.method", "--columns", "model.name", "--metric", "completion_nll")
    lora, none = table["sections"][0]["rows"]
    of_lora = [value for (method, _), value in values.items() if method == "lora"]
    assert lora[1] == f"{statistics.mean(of_lora):.3f} ± {statistics.stdev(of_lora):.3f} (n=3)"
    assert none == ["none", "3.000 (n=1)"]
    assert table["raw"][0]["mean"] == pytest.approx(statistics.mean(of_lora)) and len(table["raw"][0]["run_ids"]) == 3


def test_a_pivot_mixes_neither_comparability_keys_nor_tokenizers_and_says_where_it_mixes_settings(
    outputs: Outputs, make_table: MakeTable
) -> None:
    outputs.run(change={"metrics.completion_nll": 1.0})
    outputs.run(change={"metrics.completion_nll": 9.0, "comparability_key": "bbbbbbbbbbbb"})
    outputs.run(change={"metrics.completion_nll": 2.0, "config.peft.r": 16})
    outputs.run("none", change={"metrics.completion_nll": 3.0})
    outputs.run("none", change={"metrics.completion_nll": 5.0, "config.model.name": "other"})
    table = make_table("pivot", "--rows", "peft.method", "--metric", "completion_nll")
    one, two = table["sections"]
    assert one["rows"] == [["lora", "1.500 ± 0.707 (n=2, 2 settings)"], ["none", "–"]]
    assert two["rows"] == [["lora", "9.000 (n=1)"]]
    assert any("tokenizer" in note for note in one["notes"])
    assert any("several settings" in note for note in one["notes"])
    assert table["raw"][1]["mean"] is None


def test_without_a_metric_it_goes_by_what_the_leaderboard_would_rank_by(
    outputs: Outputs, make_table: MakeTable
) -> None:
    outputs.run()
    assert make_table("pivot", "--rows", "peft.method")["raw"][0]["metric"] == "completion_ppl"
    outputs.run(change={"config.model.name": "other"})
    assert make_table("pivot", "--rows", "peft.method")["raw"][0]["metric"] == "bits_per_byte"


def test_a_cost_of_training_is_that_of_the_run(outputs: Outputs, make_table: MakeTable) -> None:
    outputs.run(change={"resources.cpu_seconds": 7.0, "evaluation.resources.cpu_seconds": 2.0})
    for metric, value in (("cpu_seconds", 7), ("evaluation.resources.cpu_seconds", 2)):
        (row,) = make_table("pivot", "--rows", "peft.method", "--metric", metric)["raw"]
        assert row["mean"] == value
