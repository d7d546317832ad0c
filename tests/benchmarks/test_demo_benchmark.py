"""README's table is what the demonstration printed, and the command that makes it works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import demo
from benchmarks.rounds import ROOT


def test_readme_shows_what_is_kept() -> None:
    kept = json.loads((ROOT / "benchmarks" / "results" / demo.RESULT).read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert demo.table(readme) == "\n".join(kept["table"])
    assert len(kept["rows"]) == len(kept["table"]) - 2


@pytest.mark.slow
def test_the_command_runs_the_demonstration_and_writes_its_leaderboard(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{demo.BEGIN}\nold\n{demo.END}\nafter\n", encoding="utf-8")
    arguments = ["--results", str(tmp_path), "--page", str(page), "model.scale=tiny", "device=cpu"]
    assert demo.main(arguments) == 0
    written = page.read_text(encoding="utf-8")
    kept = json.loads((tmp_path / demo.RESULT).read_text(encoding="utf-8"))
    assert "old" not in written and demo.table(written) == "\n".join(kept["table"])
    methods = {row["method"] for row in kept["rows"]}
    assert methods == {"none", "few_shot", "nearest_reply", "lora", "prompt_tuning"} and kept["cpu_seconds"] > 0
