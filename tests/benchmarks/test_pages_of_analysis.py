"""docs/certainty.md and the table of docs/characters.md show what is kept, and what is kept can be made again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmarks import certainty, characters, item_noise
from benchmarks.rounds import ROOT
from tests.analysis.synthetic_runs import config, write

RESULTS, DOCS = ROOT / "benchmarks" / "results", ROOT / "docs"


def between(page: Path, first: str, last: str) -> str:
    return page.read_text(encoding="utf-8").partition(first)[2].partition(last)[0].strip()


def test_the_page_of_certainty_shows_what_was_simulated() -> None:
    kept = json.loads((RESULTS / certainty.RESULT).read_text())
    page = DOCS / "certainty.md"
    assert between(page, certainty.BEGIN, certainty.END) == certainty.render(kept, ["false"])
    assert between(page, certainty.POWER_BEGIN, certainty.POWER_END) == certainty.render(kept, list(certainty.BETTER))
    assert between(page, certainty.BEST_BEGIN, certainty.BEST_END) == certainty.render_best(kept)


def test_a_cell_that_is_simulated_again_comes_out_as_it_is_kept() -> None:
    kept = json.loads((RESULTS / certainty.RESULT).read_text())
    assert kept["repetitions"] >= 1000
    (of,) = [c for c in kept["cells"] if list(c["cell"].values()) == [6, 20, 2, 0.3, 1.0]]
    again = certainty.simulate(certainty.Cell(**of["cell"]), 150)
    for way in certainty.WAYS:
        assert again[way]["coverage"] == pytest.approx(of[way]["coverage"], abs=0.04)
        assert again[way]["false"] == pytest.approx(of[way]["false"], abs=0.08)


def test_the_page_of_characters_shows_what_is_kept() -> None:
    with (RESULTS / characters.RESULT).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["persona"] for row in rows} == {"Falstaff", "Hamlet", "Macbeth", "Rosalind"}
    assert {row["model"] for row in rows if row["method"] == "lora"} == {"smollm2_135m_instruct", "gemma3_270m"}
    assert between(DOCS / "characters.md", characters.BEGIN, characters.END) == characters.render(rows)


def test_item_noise_is_that_of_the_items(tmp_path: Path) -> None:
    for place in range(2):
        write(tmp_path, f"{place}", config(peft__r=place + 1), [[1.0 + place, 2.0], [3.0, 4.0]])
    (tmp_path / "sweeps" / "s").mkdir(parents=True)
    cells = [{"run_id": f"{place}", "evaluation_id": "e", "overrides": []} for place in range(2)]
    (tmp_path / "sweeps" / "s" / "sweep.json").write_text(json.dumps({"schema_version": 2, "cells": cells}))
    found = ["--sweep", "s", "--metric", "rougeL", "--output-dir", str(tmp_path), "--results", str(tmp_path)]
    assert item_noise.main(found) == 0
    kept = json.loads((tmp_path / item_noise.RESULT).read_text())
    assert [row["items"] for row in kept["rows"]] == [4, 4] and len(kept["correlations"]) == 1
    scores = [1 / (1 + nll) for nll in (1.0, 2.0, 3.0, 4.0)]
    mean = sum(scores) / 4
    assert kept["rows"][0]["sd"] == pytest.approx((sum((x - mean) ** 2 for x in scores) / 3) ** 0.5)
