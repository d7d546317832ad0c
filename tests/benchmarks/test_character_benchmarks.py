"""The benchmarks of docs/characters.md and docs/after.md work, and the page shows what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import contrastive, metric_costs, serving, voices
from benchmarks.rounds import ROOT


@pytest.mark.parametrize("benchmark", [contrastive, metric_costs, serving, voices], ids=lambda one: one.__name__)
def test_the_page_shows_what_is_kept(benchmark: ModuleType) -> None:
    name = "after" if benchmark is serving else "characters"
    kept = json.loads((ROOT / "benchmarks" / "results" / benchmark.RESULT).read_text(encoding="utf-8"))
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert page.partition(benchmark.BEGIN)[2].partition(benchmark.END)[0].strip() == benchmark.render(kept).strip()


def run(benchmark: ModuleType, folder: Path, *arguments: str) -> dict:
    page = folder / "page.md"
    page.write_text(f"{benchmark.BEGIN}\nold\n{benchmark.END}\n", encoding="utf-8")
    assert benchmark.main(["--results", str(folder), "--page", str(page), "model.scale=tiny", *arguments]) == 0
    kept = json.loads((folder / benchmark.RESULT).read_text(encoding="utf-8"))
    assert "old" not in page.read_text(encoding="utf-8") and benchmark.render(kept) in page.read_text(encoding="utf-8")
    return kept


@pytest.mark.slow
@pytest.mark.long
def test_contrastive_lines_are_compared_with_more_of_the_same(tmp_path: Path) -> None:
    kept = run(contrastive, tmp_path, "--seeds", "1", "dataset.limit=160", "dataset.eval_limit=24")
    assert [stage["stage"] for stage in kept["stages"]] == list(contrastive.STAGES)
    assert len({stage["lines"] for stage in kept["stages"]}) == 1, "all stages are scored on the same lines"
    assert all(0 <= stage["identified"]["value"] <= 1 for stage in kept["stages"])
    assert len({tuple(stage["runs"]) for stage in kept["stages"]}) == 3


@pytest.mark.slow
@pytest.mark.long
def test_each_metric_has_its_share_of_the_cost_and_trains_nothing(tmp_path: Path) -> None:
    kept = run(metric_costs, tmp_path, "--runs", "2", "dataset.eval_limit=12", "generation.limit=10")
    assert kept["runs"] == 2 and kept["items"] <= 12
    assert {"nll held_out", "text held_out", "nll ranking.replies", "nll blending.lines by base"} <= kept[
        "cpu_seconds"
    ].keys()


@pytest.mark.slow
@pytest.mark.long
def test_clients_at_the_same_time_get_the_same_answers(tmp_path: Path) -> None:
    kept = run(serving, tmp_path, "--requests", "12", "--at-a-time", "4", "--rounds", "1", "train.max_steps=1")
    assert [one["clients"] for one in kept["rounds"]] == [1, 4] and kept["models"] == 3
    assert all(one["tokens"] > 12 for one in kept["rounds"])


def test_voices_have_their_separation(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{voices.BEGIN}\n{voices.END}\n", encoding="utf-8")
    arguments = ["--results", str(tmp_path), "--page", str(page), "--characters", "Falstaff", "--classifiers", "ngrams"]
    assert voices.main(arguments) == 0
    kept = json.loads((tmp_path / voices.RESULT).read_text(encoding="utf-8"))
    assert kept["characters"]["Falstaff"]["ngrams"]["auc"] > 0.6
    assert "| Falstaff | " in page.read_text(encoding="utf-8")
