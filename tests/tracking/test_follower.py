"""The process beside a sweep: it shows runs while they train, and what happens to it costs no run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.tracking.follower import Follower, following
from persona_sweeps.tracking.tensorboard import TensorBoard
from persona_sweeps.tracking.wandb import Wandb
from tests.tracking.conftest import SWEEP, add_run, history, write_sweep
from tests.tracking.wandb_server import Server

pytestmark = pytest.mark.slow


def steps_of(server: Server) -> list[int]:
    """Return the steps that the server has of the curve of the run called live."""
    run = server.runs.get("live000000")
    return [step for step, _ in run.curve("train_nll")] if run is not None else []


def until(what: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until something is so, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_curves_come_while_a_run_trains_and_the_rest_when_it_is_over(tmp_path: Path, wandb_server: Server) -> None:
    root, said = tmp_path / "outputs", list[str]()
    row = add_run(root, "live", "running")
    folder = root / row["folder"]
    lines = history(6).splitlines(keepends=True)
    (folder / "history.jsonl").write_text("".join(lines[:2]) + lines[2][:20])  # a line that is being written
    with following({"wandb": Wandb()}, root, SWEEP, [], said.append) as follower:
        follower.follow(row)
        assert until(lambda: steps_of(wandb_server) == [1, 2])
        (folder / "history.jsonl").write_text("".join(lines[:1]))  # it resumes from a checkpoint, and goes on
        (folder / "history.jsonl").write_text("".join(lines))
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(record | {"status": "failed"}))
        write_sweep(root, [row])
    assert steps_of(wandb_server) == [1, 2, 3, 4, 5, 6]
    assert wandb_server.runs["live000000"].exit_code == 1
    assert any(line.startswith("W&B: http") for line in said)


def test_a_run_that_is_cut_short_is_shown_so_and_gone_on_with(tmp_path: Path, wandb_server: Server) -> None:
    root = tmp_path / "outputs"
    row = add_run(root, "live", "running")
    folder = root / row["folder"]
    record = json.loads((folder / "run.json").read_text())
    for status, steps in (("running", 2), ("failed", 5)):
        (folder / "history.jsonl").write_text(history(steps))
        (folder / "run.json").write_text(json.dumps(record | {"status": status}))
        with following({"wandb": Wandb()}, root, SWEEP, [row], print, is_sweep=False):
            until(lambda: "live000000" in wandb_server.runs, 20)
        run = wandb_server.runs["live000000"]
        assert steps_of(wandb_server) == list(range(1, steps + 1)) and run.exit_code == 1
    assert run.summary["status"] == "failed"


def test_a_killed_service_of_w_and_b_costs_no_run_and_push_sends_the_rest(
    recorded: Path, wandb_server: Server, push: Callable[..., str]
) -> None:
    said: list[str] = []
    live = add_run(recorded, "live", "running")
    follower = Follower({"wandb": Wandb()}, recorded, SWEEP, [live], said.append)
    assert until(lambda: "live000000" in wandb_server.runs)
    assert follower._process is not None
    (service,) = until(lambda: _services(follower._process.pid))
    os.kill(service, signal.SIGKILL)
    record = json.loads((recorded / live["folder"] / "run.json").read_text())
    (recorded / live["folder"] / "run.json").write_text(json.dumps(record | {"status": "failed"}))
    follower.close(60)
    assert "persona-sweeps push --sweep plays --to wandb" in " ".join(said), said
    write_sweep(recorded, [*json.loads((recorded / "sweeps" / SWEEP / "sweep.json").read_text())["cells"], live])
    push("--to", "wandb")
    names = {run.name for run in wandb_server.runs.values()}
    assert {"run-live", "run-completed", "run-earlier"} <= names
    assert steps_of(wandb_server) == [1, 2, 3, 4]


def _services(parent: int) -> list[int]:
    """Return the processes that a process has started."""
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in found.splitlines() if "wandb-core" in line or "wandb" in line]


def test_a_sweep_that_is_killed_has_its_runs_shown(tmp_path: Path) -> None:
    """The process goes on until it has shown what there is, and then ends."""
    row = add_run(tmp_path, "done")
    program = f"""
import os, signal, sys
from pathlib import Path
from persona_sweeps.tracking.follower import Follower
from persona_sweeps.tracking.tensorboard import TensorBoard
follower = Follower({{"tensorboard": TensorBoard()}}, Path({str(tmp_path)!r}), {SWEEP!r}, [{row!r}], print)
print(follower._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    words = [sys.executable, "-c", program]
    killed = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    child = int(killed.stdout.split()[0])
    assert until(lambda: not Path(f"/proc/{child}").exists(), 30)
    assert list((tmp_path / row["folder"]).glob("tensorboard/events*"))


def test_a_tracker_that_breaks_is_reported_once_and_the_others_go_on(recorded: Path) -> None:
    (recorded / "runs" / "run-completed0" / "tensorboard").write_text("in the way")
    said: list[str] = []
    rows = json.loads((recorded / "sweeps" / SWEEP / "sweep.json").read_text())["cells"]
    with following({"tensorboard": TensorBoard()}, recorded, SWEEP, rows, said.append):
        pass
    assert sum("run run-completed isn't shown there" in line for line in said) == 1, said
    assert len(list((recorded / "runs").glob("*/tensorboard/events*"))) == 3
    assert len(list((recorded / "sweeps").glob("*/tracking/earlier000-*/tensorboard/events*"))) == 1


def test_nothing_is_started_without_trackers(tmp_path: Path) -> None:
    from persona_sweeps.tracking.none import NoTracker

    for trackers in ({}, {"none": NoTracker()}):
        follower = Follower(trackers, tmp_path, SWEEP, [], print)
        assert follower._process is None
        follower.follow({"folder": "x", "evaluation_id": "e"})
        follower.close()
