"""A sweep's records, made by hand: runs in every state, one of another sweep, and one that is evaluated twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.synthetic_runs import config, write
from tests.tracking.wandb_server import KEY, Server, running

SWEEP = "plays"
POINTS = {"completed": 4, "pruned": 2, "failed": 3, "earlier": 4}


def history(steps: int) -> str:
    """Return a history of so many steps; the second has a value that wasn't finite."""
    points = [
        {"train_nll": 3.0 - step / 8, "learning_rate": 1e-3, "step": step, "epoch": step / 4, "seconds": step * 2.0}
        | ({"eval_nll": 3.0 - step / 16} if step % 2 == 0 else {"grad_norm": None})
        for step in range(1, steps + 1)
    ]
    return "".join(json.dumps(point) + "\n" for point in points)


def add_run(root: Path, name: str, status: str = "completed", sweep: str = SWEEP, **more: Any) -> dict[str, Any]:
    """Write a run, and return its row in a sweep's record."""
    of_run = config(peft__r=len(name), sweep__name=sweep, **{key: more.pop(key) for key in list(more) if "__" in key})
    run_id = f"{name:0<10}"[:10]
    texts = (("to be or <b>not</b>", "to be or to sleep"),)
    folder = write(root, run_id, of_run, [[3.0], [2.5], [2.0]], texts=texts, name=f"run-{name}", **more)
    record = json.loads((folder / "run.json").read_text())
    record["status"] = status
    record["predictor"]["trains"] = record["config"]["peft"]["method"] != "none"
    record["provenance"] |= {"created": "2026-11-28T01:00:00+00:00", "data_fingerprint": "f" * 64}
    if status == "pruned":
        record["training"]["pruned"] = "worse than the median at step 2"
        record["provenance"]["study"] = {"study": "s", "trial": 3}
    if status == "failed":
        record["failure"] = {"type": "TrialError", "message": "the loss diverged", "traceback_tail": ""}
    if status != "completed":
        for path in (folder / "evaluations").iterdir():
            path.unlink()
    (folder / "run.json").write_text(json.dumps(record))
    if record["predictor"]["trains"]:
        (folder / "history.jsonl").write_text(history(POINTS.get(name, 4)))
        (folder / "adapter").mkdir()
        (folder / "adapter" / "adapter_config.json").write_text("{}")
    return {"run_id": run_id, "evaluation_id": "e", "folder": f"runs/{folder.name}", "state": status}


def write_sweep(root: Path, rows: list[dict[str, Any]], sweep: str = SWEEP) -> None:
    folder = root / "sweeps" / sweep
    folder.mkdir(parents=True, exist_ok=True)
    record = {"schema_version": 2, "name": sweep, "commands": ["launch.py"], "cells": rows}
    (folder / "sweep.json").write_text(json.dumps(record))


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """An output folder with the sweep: completed, pruned, failed, a reference, and a run that another sweep trained."""
    root = tmp_path / "outputs"
    rows = [
        add_run(root, "completed"),
        add_run(root, "pruned", "pruned"),
        add_run(root, "failed", "failed"),
        add_run(root, "untuned", peft__method="none"),
        add_run(root, "earlier", sweep="before"),
    ]
    write_sweep(root, rows)
    return root


@pytest.fixture
def wandb_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A W&B server here, to which clients of this process and its children go."""
    import wandb

    wandb.teardown()  # its service would know of the runs of other tests
    with running() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.delenv("WANDB_MODE", raising=False)
        yield server
        wandb.teardown()


@pytest.fixture
def push(recorded: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that pushes the sweep, and returns what was printed."""
    from persona_sweeps.cli.push import main

    def run(*words: str) -> str:
        main(["--sweep", SWEEP, "--output-dir", str(recorded), *words])
        return capsys.readouterr().out

    return run
