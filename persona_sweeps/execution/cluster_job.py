"""The cluster's job that this process runs in, whichever scheduler gave it."""

from __future__ import annotations

from typing import Protocol


class ClusterJob(Protocol):
    """A job, seen from inside."""

    @property
    def id(self) -> str:
        """Its name, as its backend lists it."""
        ...

    def another_turn(self, signal: str) -> None:
        """Have the scheduler run the job again later, if it is this signal that ends it."""
        ...


def this_job() -> ClusterJob | None:
    """Return the job that this process runs in; None outside of a scheduler's jobs."""
    from persona_sweeps.execution.slurm.job import slurm_job

    return slurm_job()
