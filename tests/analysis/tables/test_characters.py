"""The table `characters`: a column for each measure of the character, in their order, each ranked by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.read.selection import read_all
from analysis.tables import TABLES, characters, leaderboard
from analysis.tables.options import TableOptions
from tests.conftest import Ended

Launch = Callable[..., Ended]
SWEEP = (
    "-m",
    "peft=none,lora,true_reply,nearest_reply",
    "seed=0,1",
    "model.scale=tiny",
    "dataset.persona=Hamlet",
    "dataset.card=short",
    "dataset.context_lines=1",
    "dataset.limit=12",
    "dataset.eval_limit=18",
    "train.epochs=1",
    "generation.max_new_tokens=4",
    "metrics=[likelihood,overlap,ranking,blending,forgetting]",
    "metrics.blending.lines=4",
    "sweep.name=voice",
)
ORDER = ["bits_per_byte", "r10_context", "r10_who", "bleed", "forgetting", "rougeL"]


@pytest.fixture
def voice(launch: Launch) -> Path:
    ended = launch(*SWEEP)
    assert ended.code == 0, ended.err
    return ended.output


@pytest.mark.slow
def test_a_real_sweep_has_its_measures_in_order_with_the_ceiling_last_and_unranked(voice: Path) -> None:
    selection = read_all(voice)
    assert characters.applies(selection)
    table = characters.build(selection)
    [section] = table.sections
    headings = [column.heading for column in section.columns]
    assert [h.removesuffix(" ↓") for h in headings if "#" not in h][3:9] == [
        "bits/byte", "R10@1 context", "R10@1 who", "bleed", "forgetting", "ROUGE-L",
    ]  # fmt: skip
    assert {h for h in headings if h.endswith("↓")} == {"bits/byte ↓", "bleed ↓", "forgetting ↓"}
    assert [row["method"] for row in table.raw][-1] == "true_reply" and len(table.raw) == 4
    by_method = {row["method"]: row for row in table.raw}
    assert by_method["true_reply"]["rougeL"] == 1.0 and by_method["true_reply"]["rougeL_best_rank"] is None
    assert by_method["nearest_reply"]["r10_who"] is None and by_method["none"]["forgetting"] == 0.0
    for name in ORDER:
        ranked = [row for row in table.raw if row[f"{name}_best_rank"] is not None]
        assert ranked and all(1 <= row[f"{name}_best_rank"] <= row[f"{name}_worst_rank"] <= 4 for row in ranked)
    text = json.dumps([section.rows, table.notes], ensure_ascii=False, default=str)
    assert "#1" in text and "lower is better" in text


@pytest.mark.slow
def test_figures_are_the_means_of_the_records_and_a_ceiling_ranks_nowhere(voice: Path) -> None:
    selection = read_all(voice)
    by_method: dict[str, list[dict]] = {}
    for path in voice.glob("runs/*/evaluations/*.json"):
        run = json.loads((path.parents[1] / "run.json").read_text())
        by_method.setdefault(run["config"]["peft"]["method"], []).append(json.loads(path.read_text())["metrics"])
    for row in characters.build(selection).raw:
        for name in ORDER:
            values = [metrics[name] for metrics in by_method[row["method"]] if name in metrics]
            assert row[name] == (pytest.approx(sum(values) / len(values)) if values else None)
    ranked = leaderboard.build(selection, TableOptions(metric="metrics.rougeL")).raw
    assert [row["method"] for row in ranked][-1] == "true_reply" and ranked[-1]["rank"] in (None, "–")


def test_without_such_measures_it_says_which_command_gives_them(tmp_path: Path) -> None:
    table = characters.build(read_all(tmp_path))
    assert not table.sections and "metrics=[likelihood,overlap,ranking" in table.notes[0]
    assert TABLES["characters"].summary == characters.SUMMARY
