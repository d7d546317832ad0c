"""How jobs stand, as squeue says: it needs no accounting database."""

from __future__ import annotations

import getpass

from persona_sweeps.execution.backend import JobState, JobStatus
from persona_sweeps.execution.slurm.commands import ask

WAITING = {"PENDING", "REQUEUED", "REQUEUE_FED", "SUSPENDED", "SPECIAL_EXIT"}
RUNNING = {"CONFIGURING", "RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "RESIZING", "STOPPED"}
HELD = "held"
"""in the reason of a job that SLURM won't start again by itself, after launching it has failed too often"""


def squeue() -> dict[str, JobStatus] | None:
    """Return how this user's jobs stand, those that ended lately too; None when SLURM doesn't answer."""
    user = f"--user={getpass.getuser()}"
    printed = ask("squeue", "--noheader", "--array", "--states=all", user, "--format=%i|%T|%N|%r")
    if printed is None:
        return None
    return dict(_status(line) for line in printed.splitlines() if line.count("|") >= 3)


def _status(line: str) -> tuple[str, JobStatus]:
    job, state, node, reason = line.strip().split("|", 3)
    if state in RUNNING:
        return job, JobStatus(JobState.running, node)
    if state in WAITING and HELD not in reason.lower():
        return job, JobStatus(JobState.waiting)
    return job, JobStatus(JobState.finished, node, state if reason in ("None", "") else f"{state}, {reason}")
