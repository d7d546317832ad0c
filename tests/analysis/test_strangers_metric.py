"""A metric that this project has never heard of: its description is all that tables know of it, and all they need."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.read.selection import read_all
from analysis.report.page import report
from tests.analysis.cells import rows_of
from tests.analysis.outputs import Outputs
from tests.analysis.records import described
from tests.analysis.synthetic_runs import config, write

OFFENCES = described(
    "Offences",
    higher_is_better=False,
    range=[0.0, None],
    version="offence-list 3",
    aggregate={"form": "mean", "of": "offences"},
    format=".2f",
    family="stranger",
    explanation="Offences are insults a reply, the mean over items",
    headline=90,
)
"""less is better, and its headline is the largest"""
SCENES, LINES = 12, 3
COMMON = np.random.default_rng(0).normal(3, 0.3, (SCENES, LINES))


def add(root: Path, run_id: str, more: float, nll: float = 3.0, **change: Any) -> None:
    """Write a run whose replies have so many more offences than is common, of another version if it is given."""
    version = change.pop("version", OFFENCES["version"])
    own = np.random.default_rng(int(run_id, 16)).normal(more, 0.05, COMMON.shape)
    offences = (COMMON + own).ravel().tolist()
    write(
        root,
        run_id,
        config(**change),
        [[nll] * LINES] * SCENES,
        metrics={"offences": sum(offences) / len(offences)},
        descriptions={"offences": OFFENCES | {"version": version}},
        columns={"offences": offences},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three settings: the one with the lowest perplexity has the most offences."""
    for run_id, rank, more, nll in (("1", 4, 2.0, 2.0), ("2", 8, 0.0, 3.0), ("3", 16, 1.0, 2.5)):
        add(tmp_path, run_id, more, nll, peft__r=rank)
    return tmp_path


@pytest.fixture
def table(root: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def made(*arguments: str) -> Any:
        assert main([*arguments, "--format", "json", "--output-dir", str(root)]) == 0
        (found,) = json.loads(capsys.readouterr().out)["tables"]
        return found

    return made


@pytest.mark.parametrize("asked", [(), ("--metric", "offences")])
def test_the_leaderboard_ranks_it_the_right_way_up_with_intervals_and_tests(
    asked: tuple[str, ...], table: Callable[..., Any]
) -> None:
    found = table("leaderboard", *asked)
    (section,) = found["sections"]
    rows = rows_of(section)
    assert [(row["rank"], row["method"]) for row in rows] == [
        ("1", "LoRA r=8 α=16"), ("2", "LoRA r=16 α=16"), ("3", "LoRA r=4 α=16"),
    ]  # fmt: skip
    assert list(rows[0])[4:7] == ["Offences [95 %]", "against best [95 %]", "p"]
    for row, raw in zip(rows, found["raw"], strict=True):
        assert raw["low"] < raw["offences"] < raw["high"] and raw["ranked_by"] == "offences"
        assert row["Offences [95 %]"] == f"{raw['offences']:.2f} [{raw['low']:.2f}, {raw['high']:.2f}]"
    assert rows[2]["against best [95 %]"].startswith("+2.0") and rows[2]["p"] == "<0.001"
    assert rows[0]["PPL"] and "Ranked by Offences." in section["notes"]
    assert any("Offences are insults a reply, the mean over items; lower is better." in note for note in found["notes"])


def test_a_metric_without_a_headline_is_shown_where_it_is_asked_for(tmp_path: Path, capsys: Any) -> None:
    quiet = OFFENCES | {"headline": 0}
    write(tmp_path, "1", config(), [[3.0]] * 8, metrics={"offences": 1.0}, descriptions={"offences": quiet})
    assert main(["leaderboard", "--output-dir", str(tmp_path)]) == 0
    assert "Offences" not in capsys.readouterr().out
    with (tmp_path / "tables" / "leaderboard.csv").open(newline="") as file:
        assert [row["offences"] for row in csv.DictReader(file)] == ["1.0"], "raw rows have all metrics"
    assert main(["leaderboard", "--metric", "offences", "--output-dir", str(tmp_path)]) == 0
    assert "| Offences [95 %]" in capsys.readouterr().out


def test_the_pivot_writes_it_by_its_format_and_goes_by_it_unasked(table: Callable[..., Any]) -> None:
    found = table("pivot", "--rows", "peft.r")
    assert found["title"].startswith("Offences by peft.r")
    rows = {row[0]: row[1] for row in found["sections"][0]["rows"]}
    assert list(rows) == ["4", "8", "16"] and rows["8"] == f"{found['raw'][1]['mean']:.2f} (n=1)"


def test_two_runs_are_compared_by_it_and_the_one_with_less_is_better(root: Path, capsys: Any) -> None:
    assert main(["compare", "1", "2", "--items", "2", "--output-dir", str(root)]) == 0
    text = capsys.readouterr().out
    (row,) = [line for line in text.splitlines() if line.startswith("| Offences ")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[-1] == "B" and cells[3].startswith("-2.0"), "B has fewer"
    assert "By Offences, lower is better; 2 of 36 items shown." in text


def test_the_report_has_it_in_tables_quality_and_transcripts(root: Path) -> None:
    page = report(read_all(root), root / "report.html").html.decode()
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    (plot,) = data["quality"]
    assert plot["names"]["metrics.offences"] == "Offences" and plot["less"]["metrics.offences"] is True
    best = plot["fronts"]["metrics.offences"]["resources.cpu_seconds"]
    assert [plot["labels"][index] for index in best] == ["LoRA r=8 α=16 lr=0.001"]
    assert data["transcripts"]["scores"][0] == "Offences"
    assert data["transcripts"]["said"][0]["scores"][0][0] == pytest.approx(2 + COMMON[0, 0], abs=0.3)
    assert "<dt>Offences</dt>" in page and "Offences [95 %]" in page


def test_a_board_that_lacks_it_is_refused_in_a_sentence(root: Path, capsys: Any) -> None:
    arguments = ["leaderboard", "--metric", "offences", "--against", "friends_scripts", "--output-dir", str(root)]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message == "--against friends_scripts: that board has no Offences to set beside ours; it has PPL.\n"
    assert main(["leaderboard", "--against", "friends_scripts", "--output-dir", str(root)]) == 0
    assert "not comparable" in capsys.readouterr().out


def test_nothing_is_ranked_by_a_metric_of_which_no_record_says_which_way_is_better(
    outputs: Outputs, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.run(change={"metrics.odd": 3.0})
    outputs.run(change={"metrics.odd": 1.0, "config.peft.r": 4})
    where = ["--output-dir", str(outputs.root)]
    assert main(["leaderboard", "--metric", "odd", *where]) == 2
    assert "no record says whether more of it is better" in capsys.readouterr().err
    assert main(["pivot", "--rows", "peft.r", "--metric", "odd", *where]) == 0
    assert "odd by peft.r" in capsys.readouterr().out
    first, second = (result.run_id for result in read_all(outputs.root).results)
    assert main(["compare", first, second, *where]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| odd ")]
    assert "not tested" in row


def test_values_of_two_versions_are_ranked_in_sections_of_their_own(root: Path, table: Callable[..., Any]) -> None:
    add(root, "4", 0.5, peft__r=32, version="offence-list 4")
    sections = table("leaderboard")["sections"]
    assert [[row["method"] for row in rows_of(section)] for section in sections] == [
        ["LoRA r=8 α=16", "LoRA r=16 α=16", "LoRA r=4 α=16"],
        ["LoRA r=32 α=16"],
    ]
    why = "other versions of metrics (Offences: offence-list 4, not offence-list 3)"
    assert sections[1]["notes"][0] == f"Not in one ranking with the first section: {why}."
    assert not any("versions" in note for note in sections[0]["notes"])


def test_a_run_without_the_metric_in_question_stays_with_the_others(root: Path, table: Callable[..., Any]) -> None:
    add(root, "4", 0.5, peft__r=32, version="offence-list 4")
    write(root, "5", config(peft={"method": "nearest_reply", "learning_rate": None}), [[3.0] * LINES] * SCENES)
    assert [len(section["rows"]) for section in table("leaderboard")["sections"]] == [4, 1]


def test_a_run_that_was_scored_in_both_versions_stands_in_both_sections(
    outputs: Outputs, make_table: Callable[..., Any]
) -> None:
    run_id = outputs.run(change={"metrics.offences": 3.0, "descriptions.offences": OFFENCES})
    newer = {"descriptions.offences": OFFENCES | {"version": "4"}}
    outputs.evaluate(run_id, {"offences": 2.0}, newer, number=1)
    outputs.run(change={"metrics.offences": 1.0, "config.peft.r": 4} | newer)
    found = make_table("leaderboard")
    assert [[row["offences"] for row in found["raw"][start:end]] for start, end in ((0, 1), (1, 3))] == [
        [3.0],
        [1.0, 2.0],
    ]
    assert [len(section["rows"]) for section in found["sections"]] == [1, 2]


def test_studies_may_search_by_it(outputs: Outputs, make_table: Callable[..., Any]) -> None:
    described_so = {"descriptions.offences": OFFENCES}
    cells = [
        outputs.trial("a", n, {"offences": value}, {"peft.r": 4}, **described_so) for n, value in enumerate((3.0, 1.0))
    ]
    outputs.study_sweep("s", {"a": {"metric": ["offences"], "direction": ["minimize"]}}, cells)
    (row,) = rows_of(make_table("hyperparameters")["sections"][0])
    assert row["best"] == "1.00" and "Offences" in make_table("hyperparameters")["sections"][0]["title"]
