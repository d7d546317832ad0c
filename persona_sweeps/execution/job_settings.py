"""The settings that the launchers of clusters share: what a job gets, and how it is watched."""

from __future__ import annotations

from dataclasses import dataclass

from persona_sweeps.device import Machine
from persona_sweeps.execution.host_memory import GB

LEAST = {
    "gpus_per_job": 0, "compute_capability": 1, "cpus_per_job": 1, "max_parallel": 1, "max_retries": 0,
    "stall_seconds": 1,
}  # fmt: skip
"""the least that each whole number may be"""


@dataclass(frozen=True)
class JobSettings:
    """The keys that launchers share; conf/hydra/launcher says what each is for."""

    gpus_per_job: int
    gpu_type: str | None
    gpu_memory_gb: float | None
    compute_capability: int
    cpus_per_job: int
    mem_gb: float | None
    max_parallel: int
    max_retries: int
    stall_seconds: float | None
    poll_seconds: float

    def machine(self) -> Machine:
        """Return the machine that a job gets, as planning has to know it."""
        return Machine(
            gpus=self.gpus_per_job,
            compute_capability=self.compute_capability,
            gpu_bytes=None if self.gpu_memory_gb is None else int(self.gpu_memory_gb * GB),
            host_bytes=None if self.mem_gb is None else int(self.mem_gb * GB),
        )
