"""The SLURM job that this process runs in, as its environment says."""

from __future__ import annotations

import os
from dataclasses import dataclass

from persona_sweeps.execution.slurm.commands import ask

OUT_OF_TIME = ("SIGUSR1", "SIGUSR2")
"""what SLURM sends ahead of the time limit and, where it is set up so, of a preemption"""


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """A job, seen from inside."""

    id: str
    """as squeue lists it: <array>_<task> for an array's task"""
    number: str
    """its own, which an array's task has too"""

    def another_turn(self, signal: str) -> None:
        """Put the job back into the queue after a signal: it goes on later, from the checkpoints.

        A job that ends on a warning isn't put there by SLURM. TERM may also mean that a person has cancelled the job,
        which then isn't to come back: its state says so. Where scontrol fails, whoever watches the job gives it again.
        """
        if signal in OUT_OF_TIME or "JobState=RUNNING" in (ask("scontrol", "show", "job", self.number) or ""):
            ask("scontrol", "requeue", self.number)


def slurm_job() -> SlurmJob | None:
    """Return the job that this process runs in; None outside of SLURM."""
    number, array = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_ARRAY_JOB_ID")
    if number is None:
        return None
    return SlurmJob(f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID')}" if array else number, number)
