"""The page of the first hour leads from nothing to a table of one's own data, in the commands that it has."""

from __future__ import annotations

import csv
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.__main__ import main as analysis
from tests.test_readme import NOT_RUN_HERE, REPOSITORY, commands

PAGE = (REPOSITORY / "docs" / "first_hour.md").read_text(encoding="utf-8")
TINY = ("model.scale=tiny", "train.max_steps=2", "generation.max_new_tokens=4", "device=cpu")


@pytest.mark.slow
def test_every_command_of_the_first_hour_runs(
    launch: Callable, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for words in commands(PAGE):
        if words[0] in NOT_RUN_HERE:
            continue
        if words[1] == "launch.py":
            ended = launch(*words[2:], *TINY)
            code, printed = ended.code, ended.out or ended.err
        elif words[1] == "-m":
            code, printed = analysis(words[3:]), capsys.readouterr().out
        else:
            monkeypatch.setattr(sys, "argv", words[1:])
            runpy.run_path(str(REPOSITORY / words[1]), run_name="__main__")
            code, printed = 0, words[2]
        assert code == 0 and printed, f"{shlex.join(words)}\n{printed}"
        if "leaderboard" in words:
            assert (
                "| untuned (ref.) |" in printed
                and "LoRA r=16" in printed
                and "script episodes.csv, Falstaff" in printed
            )
    with open("episodes.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 200
    assert (tmp_path / "multirun_outputs" / "sweeps" / "mine" / "report.html").exists()
