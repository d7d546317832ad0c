"""The run to take home: the leaderboard's first setting that trained, its best seed, and never a guess."""

from __future__ import annotations

import pytest

from analysis.read.selection import read_all
from analysis.statistics.winner import Winner, winner
from persona_sweeps.errors import UserError
from tests.analysis.outputs import Outputs


def of(outputs: Outputs, metric: str | None = None) -> Winner:
    return winner(read_all(outputs.root).results, metric)


def test_it_is_the_best_seed_of_the_setting_with_the_best_mean(outputs: Outputs) -> None:
    lora = [outputs.run("lora", ppl, {"config.seed": seed}) for seed, ppl in enumerate((9.0, 8.0, 10.0))]
    for seed, ppl in enumerate((7.0, 20.0, 20.0)):  # its luckiest seed is the best of all
        outputs.run("prompt_tuning", ppl, {"config.seed": seed})
    outputs.run("none", 3.0)  # trains nothing, so there is nothing to take home
    won = of(outputs)
    assert won.result.run_id == lora[1] and won.settings == 2
    assert "PPL 8.00, its best seed of 3" in str(won) and "first of 2 settings that trained" in str(won)


def test_a_metric_of_which_more_is_better_is_gone_by_the_right_way_up(outputs: Outputs) -> None:
    low = outputs.run("lora", 9.0, {"metrics.rougeL": 0.1})
    high = outputs.run("prompt_tuning", 12.0, {"metrics.rougeL": 0.3})
    assert of(outputs).result.run_id == low
    assert of(outputs, "metrics.rougeL").result.run_id == high


def test_runs_on_different_data_have_no_common_best(outputs: Outputs) -> None:
    outputs.run("lora", 9.0)
    outputs.run("lora", 8.0, comparability_key="bbbbbbbbbbbb")
    with pytest.raises(
        UserError, match=r"2 runs are the best, each on data of its own(.|\n)*key aaaaaaaaaa(.|\n)*key bbbb"
    ):
        of(outputs)


def test_nothing_to_choose_from_is_a_sentence(outputs: Outputs) -> None:
    outputs.run("none", 9.0)
    outputs.run("lora", None, status="failed")
    with pytest.raises(UserError, match="nothing to choose from"):
        of(outputs)
