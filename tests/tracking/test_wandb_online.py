"""What the real W&B client sends to a server that speaks W&B's protocol: once, whatever happens in between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tracking.conftest import POINTS, SWEEP
from tests.tracking.wandb_server import Server

pytest.importorskip("wandb")
pytestmark = pytest.mark.slow


def steps(server: Server) -> dict[str, list[int]]:
    """Return the steps of each trained run's curve, by the run's name."""
    return {run.name: [step for step, _ in run.curve("train_nll")] for run in server.runs.values() if run.name}


def expected() -> dict[str, list[int]]:
    trained = {f"run-{name}": list(range(1, count + 1)) for name, count in POINTS.items()}
    return trained | {"run-untuned": [], f"{SWEEP} tables": []}


def test_push_twice(push: Callable[..., str], wandb_server: Server) -> None:
    assert "5 runs shown" in push("--to", "wandb") and steps(wandb_server) == expected()
    starts = {run.id: run.starts for run in wandb_server.runs.values()}
    assert "0 runs shown, 5 there already" in push("--to", "wandb")
    assert {run.id: run.starts for run in wandb_server.runs.values()} == starts
    assert not any(line.startswith("unknown") for line in wandb_server.unknown)
    done = wandb_server.runs["completed0"]
    assert (done.group, done.job_type, done.exit_code, done.summary["status"]) == (SWEEP, "train", 0, "completed")
    assert wandb_server.runs["failed0000"].exit_code == 1
    assert "data-ffffffffffffffff" in wandb_server.artifacts["dataset"]
    assert "adapter-completed0" in wandb_server.artifacts["model"]
    assert "completed0" in {run for run, _ in wandb_server.used}


def test_what_was_shown_on_another_machine_is_not_sent_again(
    recorded: Path, push: Callable[..., str], wandb_server: Server
) -> None:
    push("--to", "wandb")
    shutil.rmtree(recorded / "sweeps" / SWEEP / "tracking")  # this machine knows of nothing
    assert "5 runs shown" in push("--to", "wandb")
    assert steps(wandb_server) == expected()


def test_a_deleted_run_has_another_id_and_the_others_keep_theirs(
    recorded: Path, push: Callable[..., str], wandb_server: Server
) -> None:
    push("--to", "wandb")
    shutil.rmtree(recorded / "sweeps" / SWEEP / "tracking")
    wandb_server.delete("completed0")
    assert "5 runs shown" in push("--to", "wandb")
    assert "completed0-2" in wandb_server.runs and "completed0" not in wandb_server.runs
    assert steps(wandb_server) == expected()
    assert "0 runs shown, 5 there already" in push("--to", "wandb")


def test_a_push_that_is_killed_and_begun_again(recorded: Path, wandb_server: Server) -> None:
    words = [sys.executable, "-m", "persona_sweeps", "push", "--sweep", SWEEP, "--to", "wandb"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for count in (1, 3):
        process = subprocess.Popen([*words, "--output-dir", str(recorded)], env=environment, start_new_session=True)
        deadline = time.monotonic() + 60
        while len(wandb_server.runs) < count and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([*words, "--output-dir", str(recorded)], env=environment, check=True, capture_output=True)
    assert steps(wandb_server) == expected()
    assert all(run.exit_code == (run.name == "run-failed") for run in wandb_server.runs.values())


def test_a_server_that_refuses_the_key_is_asked_once(
    push: Callable[..., str], wandb_server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Server, "answer", lambda *_: (401, {"errors": [{"message": "invalid key"}]}))
    with pytest.raises(SystemExit) as ended:
        push("--to", "wandb")
    assert ended.value.code == 1
    out = capsys.readouterr().out
    assert out.count("it isn't asked again") == 1 and "1 that couldn't be shown" in out, out
