"""What options of commands are refused, and where their tables are written."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from analysis.__main__ import main
from tests.analysis.outputs import Outputs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["leaderboard", "--where", "peft.mthod=lora"], "Did you mean peft.method"),
        (["leaderboard", "--where", "peft.method"], "isn't KEY=VALUE"),
        (["leaderboard", "--where", "peft.r>many"], "'many' is none"),
        (["leaderboard", "--where", "peft.method=dora"], "No run has peft.method=dora. peft.method is lora."),
        (["sampling", "--metric", "rougel"], "Did you mean"),
        (["leaderboard", "--metric", "bleu,rougeL"], "does nothing for leaderboard; it is for base-vs-instruct, lora-"),
        (["costs", "--metric", "bleu"], "does nothing for costs; it is for leaderboard, base-vs-"),
        (["pivot", "--rows", "peft.methd"], "Did you mean peft.method"),
        (["--format", "csv"], "holds one table"),
    ],
)
def test_a_mistake_is_reported_in_a_sentence(
    outputs: Outputs, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    outputs.run()
    assert main([*arguments, "--output-dir", str(outputs.root)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_part_of_the_runs_is_written_to_a_folder_of_its_own(
    outputs: Outputs, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.run()
    outputs.run("none")
    whole = ["costs", "--output-dir", str(outputs.root)]
    assert main(whole) == 0
    before = (outputs.root / "tables" / "costs.csv").read_text()
    assert main([*whole, "--where", "peft.method=lora", "--format", "latex"]) == 0
    assert (outputs.root / "tables" / "costs.csv").read_text() == before
    assert "where peft.method=lora (1 of 2 runs)" in capsys.readouterr().out.replace("\\_", "_")
    (folder,) = [path for path in (outputs.root / "tables").iterdir() if path.is_dir()]
    assert {path.suffix for path in folder.iterdir()} == {".md", ".csv", ".tex"}
    assert len(rows_in(folder / "costs.csv")) == 1


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
