"""A sweep's record grows with every command, and loses no cell of an earlier one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.records.sweep import write_sweep


def cell(run: str, state: str = "completed", **more: Any) -> dict[str, Any]:
    return {"overrides": [f"seed={run}"], "run_id": run, "evaluation_id": f"e{run}", "state": state, **more}


def read(folder: SweepFolder) -> dict[str, Any]:
    return json.loads(folder.record.read_text())


def test_cells_of_another_command_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SweepFolder(tmp_path)
    for words, rows in (("seed=0,1", [cell("0"), cell("1", "failed")]), ("seed=1,2", [cell("1"), cell("2")])):
        monkeypatch.setattr(sys, "argv", ["launch.py", "-m", words])
        write_sweep(folder, "first", rows)
    assert [(row["run_id"], row["state"]) for row in read(folder)["cells"]] == [
        ("0", "completed"),
        ("1", "completed"),
        ("2", "completed"),
    ]
    assert read(folder)["commands"] == ["launch.py -m seed=0,1", "launch.py -m seed=1,2"]


def test_the_same_command_again_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["launch.py", "-m", "peft.r=choice(4, 8)", "tracker.api_key=abc"])
    for state in ("planned", "completed"):
        write_sweep(SweepFolder(tmp_path), "first", [cell("0", state), cell("0", state)])
    assert [row["state"] for row in read(SweepFolder(tmp_path))["cells"]] == ["completed"] * 2
    [command] = read(SweepFolder(tmp_path))["commands"]
    assert "'peft.r=choice(4, 8)'" in command and "abc" not in command


def test_a_study_s_own_trials_are_those_of_its_journal(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    write_sweep(folder, "first", [cell("0")])
    write_sweep(folder, "first", [cell("0", study="s", trial=0), cell("1", "planned", study="s", trial=1)], {"s": {}})
    write_sweep(folder, "first", [cell("0", study="s", trial=0), cell("3", study="s", trial=1)], {"s": {"a": 1}})
    write_sweep(folder, "first", [cell("4")])
    found = read(folder)
    assert [(row["run_id"], row.get("trial")) for row in found["cells"]] == [
        ("0", None),
        ("0", 0),
        ("3", 1),
        ("4", None),
    ]
    assert found["studies"] == {"s": {"a": 1}}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"cells": 3, "commands": 4, "studies": []}', '{"cells": [3], "command": "x"}']
)
def test_what_was_there_may_be_anything(tmp_path: Path, text: str) -> None:
    folder = SweepFolder(tmp_path)
    folder.record.write_text(text)
    write_sweep(folder, "first", [cell("0")])
    assert [row["run_id"] for row in read(folder)["cells"]] == ["0"]
