"""What the tables say of certainty: ranges of ranks, ties, what one seed can't tell, and base against instruct."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.__main__ import main
from tests.analysis.synthetic_runs import bleu_counts, config, corpus_bleu, write

SCENES = 12
BASE = np.random.default_rng(0).normal(3, 0.4, (SCENES, 3))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


def add(root: Path, run_id: str, shift: float = 0.0, noise: float = 0.05, **change: Any) -> None:
    """Write a run whose NLL is the common one of each line, shifted, with noise of its own."""
    of_run = np.random.default_rng(int(run_id, 16)).normal(shift, noise, BASE.shape)
    key = change.pop("key", "k" * 16)
    write(root, run_id, config(**change), (BASE + of_run).tolist(), key=key)


def told(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, list[dict[str, str]]]:
    assert main([*arguments, "--output-dir", str(root)]) == 0
    with next(root.glob(f"**/{arguments[0]}.csv")).open(newline="", encoding="utf-8") as file:
        return capsys.readouterr().out, list(csv.DictReader(file))


def test_rows_within_noise_are_tied_and_a_clearly_worse_one_is_not(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run_id, rank, shift in (("1", 4, 0.0), ("2", 8, 0.003), ("3", 16, 1.0)):
        add(root, run_id, shift, peft__r=rank)
    text, raw = told(root, capsys, "leaderboard")
    assert [row["rank"] for row in raw] == ["1–2", "1–2", "3"]
    assert text.count("tied with best |") == 1
    assert float(raw[2]["against_best_p_holm"]) < 0.001 and float(raw[2]["against_best_change"]) > 1
    assert float(raw[2]["against_best_change_low"]) < float(raw[2]["against_best_change"])
    assert float(raw[2]["against_best_d"]) > 5


def test_one_seed_cannot_speak_of_training_noise_and_the_table_says_so(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(root, "1", peft__r=4)
    add(root, "2", peft__r=8)
    text, _ = told(root, capsys, "leaderboard")
    assert "Each row has one seed" in text and "can't speak of training noise" in text
    add(root, "3", peft__r=8, seed=1)
    assert "1 of 2 rows with seeds have one seed" in told(root, capsys, "leaderboard")[0]
    add(root, "4", peft__r=4, seed=1)
    assert "one seed" not in told(root, capsys, "leaderboard")[0]


def test_so_many_rows_that_one_step_of_holms_is_taken_are_told_so(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id in ("1", "2", "3"):
        add(root, run_id, float(run_id), peft__r=int(run_id))
    text, raw = told(root, capsys, "leaderboard")
    assert "Bonferroni" not in text
    monkeypatch.setattr("analysis.statistics.ranks.MOST_STEPWISE", 2)
    text, single = told(root, capsys, "leaderboard")
    assert "first step alone was taken (Bonferroni's correction)" in text
    for row, of_steps in zip(single[1:], raw[1:], strict=True):
        p, corrected = float(row["against_best_p"]), float(row["against_best_p_holm"])
        assert corrected == pytest.approx(3 * p) and float(of_steps["against_best_p_holm"]) <= corrected


def test_an_untuned_base_needs_one_seed_only(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(root, "1", peft={"method": "none", "learning_rate": None})
    assert "one seed" not in told(root, capsys, "leaderboard")[0]


def test_too_few_scenes_are_said_and_every_rank_stays_possible(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place, rank in enumerate((4, 8)):
        write(root, f"{place}", config(peft__r=rank), (BASE[:3] + place).tolist())
    text, raw = told(root, capsys, "leaderboard")
    assert "9 items of 3 scenes or dialogues, fewer than 6: too few" in text
    assert [row["rank"] for row in raw] == ["1–2", "1–2"] and raw[0]["low"] == ""


def test_sections_that_may_not_be_compared_say_why(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(root, "1")
    add(root, "2", key="x" * 16, generation__method="nucleus")
    add(root, "3", key="y" * 16, dataset__persona="OPHELIA")
    add(root, "4", key="z" * 16)
    text, _ = told(root, capsys, "leaderboard")
    assert "other decoding (generation.method nucleus, not greedy)" in text
    assert "other evaluation data (dataset.persona OPHELIA, not HAMLET)" in text
    assert "other evaluation items" in text and text.count("Not in one ranking") == 3


def test_a_metric_that_counts_tokens_ranks_each_model_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(root, "1")
    add(root, "2", model__name="other")
    text, raw = told(root, capsys, "leaderboard", "--metric", "completion_ppl")
    assert [row["rank"] for row in raw] == ["1", "1"] and text.count("\n## ") == 3


def test_bleu_is_ranked_as_a_corpus_metric(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [("to be or not to be that is", "to be or not to be"), ("the rest is silence", "the rest is silent now")]
    texts = [pairs[n % 2] for n in range(BASE.size)]
    score, counts = corpus_bleu(texts), [bleu_counts(*text) for text in texts]
    for run_id in ("1", "2"):
        of_run = config(peft__r=int(run_id))
        columns = {"bleu_counts": counts}
        write(root, run_id, of_run, BASE.tolist(), metrics={"bleu": score}, columns=columns, texts=pairs)
    text, raw = told(root, capsys, "leaderboard", "--metric", "bleu")
    assert "gives a" not in text and [row["rank"] for row in raw] == ["1–2", "1–2"]
    assert float(raw[0]["low"]) <= score <= float(raw[0]["high"])


def test_base_and_instruct_are_paired_under_the_same_settings_only(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = {"model__name": "m_it", "model__instruct": True, "model__counterpart": "m"}
    add(root, "1")
    add(root, "2", -0.5, **chat)
    add(root, "3", quantization__method="nf4")
    add(root, "4", peft__r=32, **chat)
    text, raw = told(root, capsys, "base-vs-instruct")
    by_metric = {row["metric"]: row for row in raw}
    assert list(by_metric) == ["bits_per_byte", "rougeL"], "perplexities a token aren't compared"
    bits = by_metric["bits_per_byte"]
    assert (bits["base_run_ids"], bits["instruct_run_ids"]) == ("1", "2")
    change = float(bits["instruct_value"]) / float(bits["base_value"]) - 1
    assert (
        float(bits["instruct_over_base"]) == pytest.approx(change) == pytest.approx(float(bits["instruct_base_change"]))
    )
    assert float(bits["instruct_base_p_holm"]) >= float(bits["instruct_base_p"])
    assert all(" instruct |" in line for line in text.splitlines() if line.startswith("| m "))
    assert "2 settings have no counterpart" in text


def test_lora_against_prompt_tuning_says_how_sure_it_is(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(root, "1", 1.0, peft={"method": "none", "learning_rate": None})
    add(root, "2", 0.0)
    add(root, "3", 0.0, peft__r=32)
    soft = {"method": "prompt_tuning", "learning_rate": 0.03, "num_virtual_tokens": 16}
    add(root, "4", 0.5, peft=soft)
    text, raw = told(root, capsys, "lora-vs-prompt-tuning")
    assert "LoRA against prompt tuning: -" in text and "p = <0.001 (Holm)" in text.replace("\\<", "<")
    assert "LoRA: chosen by these very numbers, so flattered" in text
    assert float(raw[1]["against_base_change_high"]) < -0.5


def test_quantization_has_paired_changes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(root, "1")
    add(root, "2", 0.2, quantization__method="nf4")
    _, raw = told(root, capsys, "quantization")
    low, high = (float(raw[1][f"against_none_change_{end}"]) for end in ("low", "high"))
    assert 0.1 < low < np.exp(0.2) - 1 + 0.05 and low < float(raw[1]["change_against_none"]) < high < 0.35
