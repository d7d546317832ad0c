"""Rows that trained nothing: marked, told, and welcome in every table, also where they have no likelihood."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.read.selection import read_all
from analysis.report.transcripts import read_transcripts
from analysis.tables import TABLES
from tests.analysis.synthetic_runs import config, write

NLL = np.random.default_rng(0).normal(3, 0.4, (10, 3))
PEFT: dict[str, dict[str, Any]] = {
    "none": {"method": "none", "learning_rate": None},
    "few_shot": {"method": "few_shot", "learning_rate": None, "shots": 4},
    "nearest_reply": {"method": "nearest_reply", "learning_rate": None},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


def add(root: Path, run_id: str, shift: float = 0.0, **change: Any) -> Path:
    method = change.pop("method", None)
    if method:
        change["peft"] = PEFT[method]
    noise = np.random.default_rng(int(run_id, 16)).normal(shift, 0.05, NLL.shape)
    return write(root, run_id, config(**change), (NLL + noise).tolist())


def leaderboard(root: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[str, list[dict[str, str]]]:
    assert main(["leaderboard", "--output-dir", str(root), *more]) == 0
    text = capsys.readouterr().out
    assert main(["leaderboard", "--output-dir", str(root), *more, "--format", "csv"]) == 0
    return text, list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_references_stand_in_the_ranking_and_are_marked_and_explained(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(root, "1")
    add(root, "2", 1.0, method="none")
    add(root, "3", 0.5, method="few_shot")
    text, raw = leaderboard(root, capsys)
    assert [(row["method"], row["rank"], row["reference"]) for row in raw] == [
        ("lora", "1", "False"),
        ("few_shot", "2", "True"),
        ("none", "3", "True"),
    ]
    assert "untuned (ref.)" in text and "α=16 (reference)" not in text
    assert "untuned is the base model as it is" in text and "with solved training examples before each prompt" in text
    assert "No reference" not in text and text.count("(comparability key") == 1


def test_a_section_without_a_reference_on_the_model_says_how_to_come_by_one(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(root, "1")
    text = leaderboard(root, capsys)[0]
    assert "No reference in this section: run the base model as it is, everything else the same (peft=none)" in text
    add(root, "2", method="none")
    assert "No reference" not in leaderboard(root, capsys)[0]
    add(root, "3", model__name="other")
    assert "No reference of other in this section" in leaderboard(root, capsys)[0]


def test_a_reply_without_a_likelihood_stands_last_and_is_ranked_by_what_it_has(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(root, "1")
    add(root, "2", -1.0, method="nearest_reply")
    text, raw = leaderboard(root, capsys)
    assert [(row["method"], row["rank"]) for row in raw] == [("lora", "1"), ("nearest_reply", "")]
    assert "1 row without PPL: last, and without a rank" in text
    _, raw = leaderboard(root, capsys, "--metric", "rougeL")
    assert [(row["method"], row["rank"]) for row in raw] == [("nearest_reply", "1"), ("lora", "2")]
    assert raw[0]["low"] and float(raw[1]["against_best_p_holm"]) < 0.001


@pytest.mark.parametrize("company", [True, False])
def test_every_table_and_the_report_take_a_reply_without_a_likelihood(
    company: bool, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(root, "1", method="nearest_reply")
    if company:
        add(root, "2", method="none")
        add(root, "3")
    for table in TABLES:
        assert main([table, "--output-dir", str(root)]) == 0
    pivot = ["pivot", "--rows", "peft.method", "--columns", "seed", "--metric", "rougeL"]
    assert main([*pivot, "--output-dir", str(root)]) == 0
    assert main(["report", "--output-dir", str(root)]) == 0
    assert "NaN" not in capsys.readouterr().out
    if company:
        assert main(["compare", "1", "3", "--output-dir", str(root)]) == 0
        assert "ROUGE-L" in capsys.readouterr().out


def test_an_item_that_was_asked_in_another_form_stands_beside_the_same_item(root: Path) -> None:
    add(root, "1")
    few = add(root, "2", method="few_shot") / "evaluations/e.samples.jsonl"
    few.write_text(few.read_text().replace('"prompt": "p"', '"prompt": "solved, solved, p"'))
    other = add(root, "3") / "evaluations/e.json"
    other.write_text(other.read_text().replace("k" * 16, "x" * 16))
    found = read_transcripts(read_all(root).results, 50)
    assert len(found.items) == NLL.size
    assert set(found.said[0]) == set(found.said[1]) == set(found.said[2]), "the same prompt, decoded otherwise"
    assert {turn.text for item in found.items for turn in item.prompt} == {"p"}
    assert f"{NLL.size} items were put to runs in several forms" in " ".join(found.notes)
