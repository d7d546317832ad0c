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
    assert demo.table(readme, 1) == demo.exchange_table(kept["exchanges"])
    assert max(map(len, kept["table"])) <= 100


@pytest.mark.slow
@pytest.mark.long
def test_the_command_runs_the_demonstration_and_writes_its_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{demo.BEGIN}\nold\n{demo.END}\nafter\n", encoding="utf-8")
    arguments = ["--results", str(tmp_path), "--page", str(page), "model.scale=tiny", "device=cpu"]
    assert demo.main(arguments) == 0
    written = page.read_text(encoding="utf-8")
    kept = json.loads((tmp_path / demo.RESULT).read_text(encoding="utf-8"))
    assert "old" not in written and demo.table(written) == "\n".join(kept["table"])
    methods = {row["method"] for row in kept["rows"]}
    assert methods == {"none", "few_shot", "nearest_reply", "true_reply", "lora", "prompt_tuning"}
    assert kept["cpu_seconds"] > 0
    plays = [one["id"].partition("/")[0] for one in kept["exchanges"]]
    assert len(plays) == len(set(plays)) == 3 and all(one["cue"] and one["the play"] for one in kept["exchanges"])


def test_a_long_text_is_cut_between_words_and_cannot_break_the_table() -> None:
    one = {"id": "a/1", "cue": "| `x` <b>", "untuned": "word " * 60, "LoRA": "", "the play": "line\nbreak"}
    row = demo.exchange_table([one]).splitlines()[2]
    assert row.count(" | ") == 3 and "line break" in row and "word …" in row and "<b>" not in row.replace("\\<b>", "")
