"""The comparison of searches runs, and the page says what its committed results say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import tuning
from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from benchmarks.tuning import BEGIN, END, RESULT, SEARCHES, main, render


def kept() -> dict:
    return json.loads((ROOT / "benchmarks" / "results" / RESULT).read_text())


def test_the_page_has_the_figures_of_the_committed_results(tmp_path: Path) -> None:
    page = tmp_path / "studies.md"
    page.write_text((ROOT / "docs" / "studies.md").read_text())
    rewrite_between(page, BEGIN, END, render(kept()))
    assert page.read_text() == (ROOT / "docs" / "studies.md").read_text()


def test_the_pruned_grid_found_what_the_full_one_found_for_a_third_of_its_tokens() -> None:
    grid, pruned, _ = kept()["searches"]
    assert grid["states"] == {"completed": 16} and sum(pruned["states"].values()) == 16
    assert pruned["best_nll"] <= 1.01 * grid["best_nll"] and 3 * pruned["tokens"] <= grid["tokens"]


@pytest.mark.long
@pytest.mark.parametrize("count", [2, len(SEARCHES)])
def test_the_comparison_runs(
    tmp_path: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    chosen = list(SEARCHES)[:count]
    monkeypatch.setattr(tuning, "SEARCHES", {name: SEARCHES[name] for name in chosen})
    page = tmp_path / "studies.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    few = ("dataset.persona=null", "train.max_steps=9", "peft.r=4")
    assert main(["--results", str(tmp_path), "--page", str(page), *tiny, *few]) == 0
    found = json.loads((tmp_path / RESULT).read_text())["searches"]
    assert [search["name"] for search in found] == chosen
    assert all(search["tokens"] and search["name"] in page.read_text() for search in found)
