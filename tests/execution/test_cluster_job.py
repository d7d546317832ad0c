"""The cluster's job that a process runs in: what it is called, and when it is put back into the queue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from persona_sweeps.cli import worker
from persona_sweeps.execution.cluster_job import this_job
from persona_sweeps.lifecycle import lease
from persona_sweeps.lifecycle.stopping import EXIT_CODE, Stopped


@pytest.fixture
def in_job(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that sets SLURM's variables."""
    monkeypatch.setattr(lease, "_job", None)
    for name in ("JOB_ID", "ARRAY_JOB_ID", "ARRAY_TASK_ID"):
        monkeypatch.delenv(f"SLURM_{name}", raising=False)

    def set_variables(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"SLURM_{name}", value)

    return set_variables


@pytest.fixture
def scontrol(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """A function of what `scontrol show` is to print; the calls are in the file that it returns."""

    def install(printed: str) -> Path:
        calls = tmp_path / "calls"
        program = tmp_path / "scontrol"
        program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n[ "$1" = show ] && echo "{printed}"\nexit 0\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return calls

    return install


def test_a_process_outside_of_slurm_has_none(in_job: Callable[..., None]) -> None:
    assert this_job() is None


def test_a_job_is_called_as_squeue_lists_it(in_job: Callable[..., None]) -> None:
    in_job(JOB_ID="4711")
    job = this_job()
    assert job is not None and job.id == "4711"
    in_job(JOB_ID="4713", ARRAY_JOB_ID="4711", ARRAY_TASK_ID="2")
    task = this_job()
    assert task is not None and task.id == "4711_2"


@pytest.mark.parametrize(
    "signal, state, again",
    [("SIGUSR1", "COMPLETING", True), ("SIGUSR2", "COMPLETING", True), ("SIGTERM", "RUNNING", True),
     ("SIGTERM", "CANCELLED", False)],
)  # fmt: skip
def test_a_job_that_is_out_of_time_goes_back_into_the_queue_and_a_cancelled_one_does_not(
    in_job: Callable[..., None], scontrol: Callable[[str], Path], signal: str, state: str, again: bool
) -> None:
    in_job(JOB_ID="4713", ARRAY_JOB_ID="4711", ARRAY_TASK_ID="2")
    calls = scontrol(f"JobState={state}")
    job = this_job()
    assert job is not None
    job.another_turn(signal)
    assert ("requeue 4713" in calls.read_text().splitlines()) is again


@pytest.mark.parametrize(
    "parent, again", [((), True), (("--with-parent=1",), False)], ids=["of SLURM", "of a launcher"]
)
def test_only_a_worker_that_is_the_job_asks_for_another_turn(
    in_job: Callable[..., None], scontrol: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch,
    parent: tuple[str, ...], again: bool,
) -> None:  # fmt: skip
    """A worker that a launcher has started within a job stops with it; the job is the launcher's."""

    def stopped(path: Path) -> None:
        raise Stopped("SIGUSR1")

    in_job(JOB_ID="4711")
    calls = scontrol("JobState=RUNNING")
    monkeypatch.setattr(worker, "work", stopped)
    monkeypatch.setattr(worker, "_stop_with", lambda parent: None)
    assert worker.main([*parent, "group.json"]) == EXIT_CODE
    assert calls.exists() is again
