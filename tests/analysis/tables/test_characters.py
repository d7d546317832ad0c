"""The table `characters`: a column for each measure of the character, in their order, each ranked by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.read.selection import read_all
from analysis.report.page import report
from analysis.tables import TABLES, characters, leaderboard
from analysis.tables.options import TableOptions
from tests.analysis.records import DESCRIPTIONS
from tests.analysis.synthetic_runs import config, write
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


@pytest.mark.long
@pytest.mark.slow
def test_a_real_sweep_has_its_measures_in_order_with_the_ceiling_last_and_unranked(voice: Path) -> None:
    selection = read_all(voice)
    assert characters.applies(selection)
    table = characters.build(selection)
    section, intervals = table.sections
    headings = [column.heading for column in section.columns]
    measures = ["bits/byte↓", "R10@1 context", "R10@1 who", "bleed↓", "forgetting↓", "ROUGE-L"]
    assert headings == ["method", *measures, "trainable", "CPU s"]
    assert [column.heading for column in intervals.columns] == ["method", "seeds", *measures]
    assert [row[0] for row in intervals.rows] == [row[0] for row in section.rows] and section.runs == intervals.runs
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
    ranked = leaderboard.build(selection, TableOptions(("metrics.rougeL",))).raw
    assert [row["method"] for row in ranked][-1] == "true_reply" and ranked[-1]["rank"] in (None, "–")


def test_without_such_measures_it_says_which_command_gives_them(tmp_path: Path) -> None:
    table = characters.build(read_all(tmp_path))
    assert not table.sections and "metrics=[likelihood,overlap,ranking" in table.notes[0]
    assert TABLES["characters"].summary == characters.SUMMARY


CHARACTER = {
    "bits_per_byte": DESCRIPTIONS["bits_per_byte"] | {"character": 10},
    "rougeL": DESCRIPTIONS["rougeL"] | {"character": 80, "headline": 0},
}


def written(root: Path, run_id: str, persona: str, level: float, **keys: Any) -> None:
    """Write a run of one character on eight scenes, at about this NLL."""
    draw = np.random.default_rng(int(run_id, 16))
    settings = config(**{"dataset__persona": persona, **keys})
    nll = (level + draw.normal(0, 0.3, (8, 3))).tolist()
    write(root, run_id, settings, nll, key=f"{persona:k<16}"[:16], descriptions=CHARACTER)


def test_settings_of_several_characters_have_a_mean_over_them(tmp_path: Path) -> None:
    levels = {"Hamlet": 3.0, "Falstaff": 4.0}
    for number, (persona, level) in enumerate(levels.items()):
        for seed in (0, 1):
            written(tmp_path, f"{number}{seed}a", persona, level, seed=seed)
        written(tmp_path, f"{number}b", persona, level + 0.5, **{"peft__r": 4})
    written(tmp_path, "ff", "Hamlet", 3.0, **{"peft__r": 32})  # as nobody else
    table = characters.build(read_all(tmp_path))
    summary, *others = table.sections
    assert summary.title == "Mean over 2 characters: Hamlet, Falstaff" and len(others) == 4
    assert len(summary.rows) == 2, "a setting that only one of them has isn't compared"
    by_setting: dict[str, list[float]] = {}
    for row in table.raw:
        by_setting.setdefault(row["setting"], []).append(row["bits_per_byte"])
    for row, runs in zip(summary.rows, summary.runs, strict=True):
        mean, low, high = map(float, re.findall(r"\d+\.\d+", row[1]))
        assert mean == pytest.approx(sum(by_setting[row[0]]) / 2, abs=6e-4) and low < mean < high
        assert len(runs) in (2, 4)


def test_one_character_alone_has_no_summary(tmp_path: Path) -> None:
    written(tmp_path, "1", "Hamlet", 3.0)
    written(tmp_path, "2", "Hamlet", 3.0, **{"peft__r": 4})
    assert [section.title[:4] for section in characters.build(read_all(tmp_path)).sections] == ["m · ", "95 %"]


@pytest.fixture
def three(tmp_path: Path) -> Path:
    for number, level in enumerate((3.0, 3.5, 2.0)):
        written(tmp_path, f"{number}", "Hamlet", level, **{"peft__r": 2 ** (number + 1)})
    return tmp_path


def test_a_front_has_what_no_other_beats_and_is_drawn(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["characters", "--pareto", "bits_per_byte", "rougeL", "--output-dir", str(three)]) == 0
    out = capsys.readouterr().out
    assert out.count("| yes ") == 1 and out.count("| no ") == 2, "less NLL is also more ROUGE in these records"
    (folder,) = (three / "tables").glob("pareto-bits_per_byte-rougeL-*")
    names = {path.suffix for path in folder.glob("characters-*")}
    assert names == {".svg", ".png"} and all(path.stat().st_size > 5000 for path in folder.glob("characters-*"))
    svg = next(folder.glob("*.svg")).read_text()
    assert svg.startswith("<?xml") and "<script" not in svg


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["bits_per_bite", "cost"], "Did you mean bits_per_byte?"),
        (["cost", "cost"], "--pareto cost cost names one number twice"),
    ],
)
def test_a_wrong_front_is_refused(
    three: Path, capsys: pytest.CaptureFixture[str], names: list[str], sentence: str
) -> None:
    assert main(["characters", "--pareto", *names, "--output-dir", str(three)]) == 2
    assert sentence in capsys.readouterr().err
    assert main(["leaderboard", "--pareto", "cost", "trainable", "--output-dir", str(three)]) == 2
    assert "does nothing for leaderboard; it is for characters" in capsys.readouterr().err


def test_the_report_has_the_usual_front(three: Path) -> None:
    page = report(read_all(three), three / "report.html").html.decode()
    assert "bits/byte and CPU seconds of each setting, with the Pareto front" in page


def test_what_a_metric_remarks_stands_below_once_and_names_rows_it_is_not_on_all_of(tmp_path: Path) -> None:
    shared, one = "The classifier has AUC 0.7.", "Most texts are copies."
    for number, remarks in enumerate([[shared], [shared, one], [shared]]):
        scored = {"style": {"key": "k", "items": 24, "remarks": remarks}, "overlap": {"key": "k", "items": 24}}
        settings = config(peft__r=2 ** (number + 1))
        write(
            tmp_path, f"{number}", settings, [[3.0] * 3] * 8, descriptions=CHARACTER, of_evaluation={"scored": scored}
        )  # fmt: skip
    notes = characters.build(read_all(tmp_path)).sections[0].notes
    assert notes.count(shared) == 1 and f"{one} (LoRA r=4 α=16)" in notes
