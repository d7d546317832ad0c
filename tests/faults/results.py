"""What a sweep left behind, for comparing one that was hit with one that was left alone."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

OUTPUT = "multirun_outputs"
GROUP = 1e-4
"""relative; what the width of a pass may change"""
SCORED = ("metrics", "descriptions", "comparability_key", "config", "data", "predictions")
"""parts of an evaluation that say nothing of when and where it was made"""
ASKED = ("request", "decoding", "seed", "items_digest", "items", "data")
"""parts of a prediction's head likewise"""


@dataclass(frozen=True)
class Result:
    """What a completed run has to be equal in, at each of its three stages."""

    name: str
    training: dict[str, Any]
    history: list[dict[str, Any]]
    adapter: dict[str, Any]
    """tensors by file and name"""
    predictions: dict[str, Any]
    """heads and lines by prediction id"""
    evaluations: dict[str, Any]
    """records and samples by evaluation id"""


def records(output: Path) -> dict[str, dict[str, Any]]:
    """Return the records of all runs, by run id."""
    found = [json.loads(path.read_text()) for path in sorted(output.glob("runs/*/run.json"))]
    return {record["run_id"]: record for record in found}


def evaluations(output: Path) -> list[dict[str, Any]]:
    """Return the evaluations of all runs."""
    return [json.loads(path.read_text()) for path in sorted(output.glob("runs/*/evaluations/*.json"))]


def results(output: Path) -> dict[str, Result]:
    """Return what every run came to, by run id; all must be completed and evaluated."""
    states = {record["name"]: record["status"] for record in records(output).values()}
    assert set(states.values()) == {"completed"}, states
    found = {run_id: _result(folder_of(output, run_id), record) for run_id, record in records(output).items()}
    assert all(run.evaluations for run in found.values()), "each run is evaluated"
    failures = [evaluation["failure"] for evaluation in evaluations(output)]
    assert not any(failures), failures
    return found


def folder_of(output: Path, run_id: str) -> Path:
    return next(output.glob(f"runs/*-{run_id}"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _result(folder: Path, record: dict[str, Any]) -> Result:
    from safetensors.torch import load_file

    history = [
        {key: value for key, value in row.items() if key != "seconds"} for row in lines(folder / "history.jsonl")
    ]
    adapter = {
        f"{path.parent.name}/{name}": tensor
        for path in folder.glob("adapter/**/*.safetensors")
        for name, tensor in load_file(path).items()
    }
    return Result(
        record["name"],
        record["training"],
        history,
        adapter,
        _by_id(folder / "predictions", ASKED, ".jsonl"),
        _by_id(folder / "evaluations", SCORED, ".samples.jsonl"),
    )


def _by_id(folder: Path, parts: tuple[str, ...], suffix: str) -> dict[str, Any]:
    """Return what each file in a folder says, with the lines that lie beside it."""
    found = {}
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        found[path.stem] = {"lines": lines(path.with_suffix(suffix)), **{part: content[part] for part in parts}}
    return found


def assert_equal(ours: dict[str, Result], theirs: dict[str, Result], exactly: bool = True) -> None:
    """Compare runs: bit by bit, or as near as the width of a pass lets them be."""
    import torch

    assert ours.keys() == theirs.keys()
    for run_id, run in ours.items():
        other = theirs[run_id]
        for part in [field.name for field in fields(Result) if field.name not in ("name", "adapter")]:
            mine, yours = getattr(run, part), getattr(other, part)
            if exactly:
                assert mine == yours, f"{part} of {run.name}"
            else:
                _assert_near(mine, yours, f"{part} of {run.name}")
        assert run.adapter.keys() == other.adapter.keys()
        for name, tensor in run.adapter.items():
            same = (
                torch.equal(tensor, other.adapter[name])
                if exactly
                else torch.allclose(tensor, other.adapter[name], rtol=GROUP, atol=GROUP)
            )
            assert same, f"{name} of {run.name}"


def _assert_near(mine: Any, yours: Any, what: str) -> None:
    if isinstance(mine, dict):
        assert mine.keys() == yours.keys(), what
        for key in mine:
            _assert_near(mine[key], yours[key], f"{key} of {what}")
    elif isinstance(mine, list):
        assert len(mine) == len(yours), what
        for index, (one, other) in enumerate(zip(mine, yours, strict=True)):
            _assert_near(one, other, f"{index} of {what}")
    elif isinstance(mine, float):
        assert mine == pytest.approx(yours, rel=GROUP, abs=1e-6), what
    else:
        assert mine == yours, what


def starts(folder: Path) -> list[int]:
    """Return at which steps a run's log says that it began or went on: 0 for a start."""
    found = re.findall(r"run [0-9a-f]+ (started|goes on after step (\d+))", (folder / "run.log").read_text())
    return [int(step or 0) for _, step in found]


def saved_steps(output: Path, run: str = "*") -> list[int]:
    """Return the step of every checkpoint there is, or of a run's."""
    return sorted(int(path.name.removeprefix("step-")) for path in output.glob(f"runs/{run}/checkpoint/step-*"))


def steps_logged(output: Path) -> int:
    """Return how many lines all histories have."""
    return sum(path.read_bytes().count(b"\n") for path in output.glob("runs/*/history.jsonl"))


def progress(output: Path) -> int:
    """Return how far a sweep has come: a step counts 1, predictions and an evaluation 20 each."""
    files = [*output.glob("runs/*/predictions/*.json"), *output.glob("runs/*/evaluations/*.json")]
    return steps_logged(output) + 20 * len(files)


def drafts(output: Path) -> list[Path]:
    """Return what was left half written in the folders of runs."""
    return [path for path in output.glob("runs/**/.*") if path.name != ".hydra"]
