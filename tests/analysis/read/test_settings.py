"""What a row of a table is: all that sets it apart is named, and what its seeds came to is said."""

from __future__ import annotations

from typing import Any

from analysis.read.comparable import comparable
from analysis.read.selection import read_all
from analysis.statistics.ranking import placed
from analysis.tables import leaderboard, lora_vs_prompt_tuning
from tests.analysis.outputs import Outputs

DIVERGED = {"type": "Diverged", "message": "the loss was not a finite number at step 3 of 9"}


def rows(outputs: Outputs) -> dict[str, Any]:
    (group,) = comparable(read_all(outputs.root).results)
    return {setting.label: setting for setting in group.settings}


def test_a_key_in_which_rows_of_a_section_differ_is_named_though_their_rates_differ_too(outputs: Outputs) -> None:
    outputs.run("lora", 8.0, {"config.train.epochs": 50.0, "config.train.learning_rate": 1e-3})
    outputs.run("lora", 9.0, {"config.train.learning_rate": 1e-4})
    outputs.run("prompt_tuning", 9.5)
    assert set(rows(outputs)) == {
        "LoRA r=8 α=16 train.epochs=50",
        "LoRA r=8 α=16 train.epochs=1",
        "prompt tuning 16 tokens train.epochs=1",
    }


def test_what_a_label_says_already_is_not_said_again_and_what_it_does_not_is(outputs: Outputs) -> None:
    outputs.run("lora", 8.0)
    outputs.run("lora", 9.0, {"config.peft.r": 16, "config.peft.dropout": 0.1})
    assert set(rows(outputs)) == {"LoRA r=8 α=16 peft.dropout=0", "LoRA r=16 α=16 peft.dropout=0.1"}


def test_a_reference_is_not_told_apart_by_training_that_it_never_had(outputs: Outputs) -> None:
    outputs.run("none", 12.0)
    outputs.run("lora", 8.0, {"config.train.epochs": 2.0})
    outputs.run("lora", 8.5, {"config.train.epochs": 3.0})
    assert "untuned" in rows(outputs)


def test_a_setting_of_which_a_seed_diverged_says_so_and_has_no_rank(outputs: Outputs) -> None:
    for seed in range(2):
        outputs.run("lora", 5.0 + seed, {"config.seed": seed})
        outputs.run("lora", 9.0 + seed, {"config.seed": seed, "config.peft.r": 4})
    outputs.run("lora", None, {"config.seed": 2}, status="failed", failure=DIVERGED)
    outputs.run("lora", 9.5, {"config.seed": 2, "config.peft.r": 4})
    table = leaderboard.build(read_all(outputs.root))
    assert [row["setting"] for row in table.raw] == ["LoRA r=4 α=16", "LoRA r=8 α=16"]
    assert [row["rank"] for row in table.raw] == ["1", None]
    (section,) = table.sections
    assert "2 (1 of 3 diverged)" in section.rows[1] and "1 of 3 diverged. Its numbers" in " ".join(section.notes)
    best = lora_vs_prompt_tuning.build(read_all(outputs.root)).raw[0]
    assert best["setting"] == "LoRA r=4 α=16", "survivors don't make a best setting"


def test_a_seed_lost_by_accident_is_said_and_the_row_keeps_its_rank(outputs: Outputs) -> None:
    outputs.run("lora", 5.0)
    outputs.run("lora", None, {"config.seed": 1}, status="failed", failure={"type": "OutOfMemoryError", "message": ""})
    (row,) = leaderboard.build(read_all(outputs.root)).sections[0].rows
    assert row[0] == "1" and "1 (1 of 2 failed)" in row


def test_a_seed_that_failed_first_and_worked_then_is_not_lost(outputs: Outputs) -> None:
    outputs.run("lora", 5.0, setting_key="s")
    outputs.run("lora", None, status="failed", failure=DIVERGED, setting_key="s")
    (setting,) = rows(outputs).values()
    assert not setting.lost and not setting.losses


def test_the_same_seed_of_two_runs_counts_once_and_the_last_one_counts(outputs: Outputs) -> None:
    outputs.run("lora", 9.0, {"provenance.finished": "2026-01-01"}, setting_key="s")
    outputs.run("lora", 5.0, {"provenance.finished": "2026-02-01"}, setting_key="s")
    (group,) = comparable(read_all(outputs.root).results)
    (row,) = placed(group.settings, group.measures["metrics.completion_ppl"])
    assert row.setting.doubled == 1 and row.setting.seeds == [0]
    assert row.setting.spread("metrics.completion_ppl").mean == 5.0  # type: ignore[union-attr]
    assert "1 run left out whose setting and seed" in " ".join(
        leaderboard.build(read_all(outputs.root)).sections[0].notes
    )
