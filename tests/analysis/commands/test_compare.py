"""`python -m analysis compare`: finding runs, what differs, and hostile replies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.__main__ import main
from tests.analysis.synthetic_runs import config, write

BASE = np.random.default_rng(0).normal(3, 0.4, (8, 3))
HOSTILE = ("a | b\x1b[31m \x07 <script>alert(1)</script> ‮evil\nnew line " + "word" * 500, "reference")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    noise = np.random.default_rng(1).normal(0.2, 0.05, BASE.shape)
    write(tmp_path, "aa11", config(), BASE.tolist())
    write(tmp_path, "ab22", config(peft__r=16, sweep__name="other"), (BASE + noise).tolist(), texts=[HOSTILE])
    write(tmp_path, "cc33", config(), (BASE + 0.1).tolist(), key="other")
    return tmp_path


def compare(root: Path, *arguments: str) -> int:
    return main(["compare", *arguments, "--output-dir", str(root)])


@pytest.mark.parametrize("names", [("aa11", "ab22"), ("aa", "run-ab22"), ("runs/run-aa11", "ab2")])
def test_runs_are_found_by_id_beginning_name_or_folder(
    root: Path, names: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(root, *names) == 0
    text = capsys.readouterr().out
    assert "aa11 (A) and ab22 (B)" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| peft.r ")]
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["peft.r", "8", "16"]
    assert "sweep" not in text


@pytest.mark.parametrize(("name", "message"), [("a", "2 results are meant"), ("aa12", "Did you mean aa11")])
def test_a_run_that_is_not_one_is_a_sentence(
    root: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(root, name, "cc33") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_metrics_are_paired_and_the_better_run_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(root, "aa11", "ab22", "--items", "0") == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| PPL", "| bits/byte"))]
    assert len(rows) == 2
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[-1] == "A" and cells[4].startswith("+") and float(cells[5]) > 1


def test_runs_that_may_not_be_compared_are_shown_without_tests(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(root, "aa11", "cc33") == 0
    text = capsys.readouterr().out
    assert "No tests, since these runs may not be compared" in text and "| not tested |" in text


def test_replies_show_and_do_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(root, "aa11", "ab22", "--items", "3") == 0
    text = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & set(text) and "\\<script>" in text and "wordwo…" in text
    rows = [line for line in text.splitlines() if "script" in line]
    assert len(rows) == 3
    files = [root / f"runs/run-{name}/evaluations/e.samples.jsonl" for name in ("aa11", "ab22")]
    lines = [json.loads(line) for path in files for line in path.open()]
    changes = {
        a["id"]: abs(a["completion_nll"] - b["completion_nll"]) for a, b in zip(lines[:24], lines[24:], strict=True)
    }
    most = sorted(changes, key=lambda key: -changes[key])[:3]
    assert [row.strip("| ").split(" ")[0] for row in rows] == most


def test_damaged_samples_are_reported(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "runs/run-ab22/evaluations/e.samples.jsonl").write_text('{"id": 1}\n')
    assert compare(root, "aa11", "ab22") == 0
    assert "line 1: not an object with an id and a cluster" in capsys.readouterr().out
