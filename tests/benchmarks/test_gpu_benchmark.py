"""The benchmark of a GPU runs on a CPU and the twins, and the page shows what it measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.gpu.page import BEGIN, END, render
from benchmarks.gpu.training import CASES
from tests.conftest import REPOSITORY, Ended

RESULTS = REPOSITORY / "benchmarks" / "results" / "gpu.json"


@pytest.mark.slow
@pytest.mark.long
def test_it_is_rehearsed_on_a_cpu(command: Callable[..., Ended], tmp_path: Path) -> None:
    parts = [f"--part={name}" for name in ("training", "generation", "profile")]
    ended = command(
        "--device=cpu", "--model-scale=tiny", "--match=SmolLM2", "--out=gpu.json", *parts,
        folder=tmp_path, python=("-m", "benchmarks.gpu"), PYTHONPATH=str(REPOSITORY),
    )  # fmt: skip
    assert ended.code == 0, ended.err[-3000:]
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert not result["failed"] and not result["left_out"]
    expected = [case for case in CASES if case.shape.title.startswith("SmolLM2")]
    rows = result["parts"]["training"]
    assert [(row["contestant"], row["trials"]) for row in rows] == [(one.contestant, one.trials) for one in expected]
    assert all(row["tokens_per_second"] > 0 and len(row["losses"]) == row["trials"] for row in rows)
    losses = {row["contestant"]: row["losses"][0] for row in rows if row["trials"] == 1 and row["card"]}
    assert losses["trl"][0] == pytest.approx(losses["stacked"][0], rel=1e-3)
    assert {row["new_tokens"] for row in result["parts"]["generation"]} == {8, 16, 128}


@pytest.mark.slow
def test_the_page_shows_the_committed_results() -> None:
    page = (REPOSITORY / "docs" / "performance.md").read_text(encoding="utf-8")
    shown = page.partition(BEGIN)[2].partition(END)[0].strip("\n")
    assert shown == render(json.loads(RESULTS.read_text(encoding="utf-8"))).strip("\n")


def test_the_readme_says_what_was_measured() -> None:
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["parts"]["training"]
    rates = {(row["model"], row["contestant"], row["trials"]): row["tokens_per_second"] for row in rows if row["card"]}
    stacked = rates["SmolLM2-135M", "stacked", 8] / rates["SmolLM2-135M", "trl", 1]
    large = rates["Llama-3.1-8B", "stacked", 1] / rates["Llama-3.1-8B", "trl", 1]
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    assert f"made {stacked:.0f} times TRL's tokens a second, one trial of Llama-3.1-8B {large:.1f} times" in readme
