"""A sweep on a Ray cluster of one node: a worker is killed, the command is stopped, and the results are the same."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from persona_sweeps.lifecycle.stopping import INTERRUPTED
from tests.faults.conftest import CONF
from tests.faults.processes import kill, runs
from tests.faults.results import OUTPUT, assert_equal, records, results, saved_steps, steps_logged

ON_RAY = ("hydra/launcher=ray", "hydra.launcher.gpus_per_job=0", "hydra.launcher.cpus_per_job=1",
          "hydra.launcher.mem_gb=1", "hydra.launcher.poll_seconds=0.2", "hydra.launcher.max_parallel=2")  # fmt: skip


def workers(folder: Path) -> list[int]:
    """Return the processes that hold a lease, and run."""
    owners = [json.loads(path.read_text())["pid"] for path in (folder / OUTPUT).glob("runs/*/lease/*")]
    return [owner for owner in owners if runs(owner)]


def test_an_address_at_which_nothing_answers_is_reported_at_once(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, *ON_RAY, "hydra.launcher.address=127.0.0.1:1")
    assert ended.code == 1 and "Traceback" not in ended.err
    assert "error: No Ray cluster answers at 127.0.0.1:1 (" in ended.err and "ray start --head" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, pytest.param(True, marks=pytest.mark.long)], ids=["", "and-a-ctrl-c"])
def test_runs_survive_a_killed_worker(
    start: Callable, brief: tuple[str, ...], left_alone: Callable, tmp_path: Path, stopped: bool
) -> None:
    one = (f"--config-dir={CONF}", *brief, "peft=lora_dropped", "train.max_steps=400")
    first = start(tmp_path, *one, *ON_RAY)
    assert first.wait_for(lambda: steps_logged(tmp_path / OUTPUT) >= 30), first.output
    kill(workers(tmp_path)[0])
    first.wait_for(lambda: "killed by SIGKILL" in first.output)
    if stopped:
        logged = steps_logged(tmp_path / OUTPUT)
        first.wait_for(lambda: steps_logged(tmp_path / OUTPUT) >= logged + 10 and workers(tmp_path))
        first.send(signal.SIGINT)
        assert first.wait() == INTERRUPTED, first.output
        assert "Traceback" not in first.output and saved_steps(tmp_path / OUTPUT)
        assert not workers(tmp_path), "all that were at work have ended"
        first = start(tmp_path, *one, *ON_RAY)
    assert first.wait() == 0, first.output
    assert_equal(results(tmp_path / OUTPUT), left_alone(*one))
    (record,) = records(tmp_path / OUTPUT).values()
    assert record["resources"]["resumes"] >= 1
