"""What `hydra/launcher=slurm` can be told; conf/hydra/launcher/slurm.yaml says what each key is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from persona_sweeps.device import Machine
from persona_sweeps.errors import ConfigError, did_you_mean
from persona_sweeps.settings import refuse_unknown, too_small

LEAST = {
    "gpus_per_job": 0, "compute_capability": 1, "cpus_per_job": 1, "timeout_min": 1, "signal_seconds": 1,
    "max_parallel": 1, "max_retries": 0, "stall_seconds": 1,
}  # fmt: skip
PER_MODEL = ("gpus_per_job", "gpu_type", "gpu_memory_gb", "cpus_per_job", "mem_gb", "timeout_min", "constraint")
GB = 1e9


@dataclass(frozen=True)
class SlurmSettings:
    """The keys of the launcher."""

    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    gpus_per_job: int
    gpu_type: str | None
    gpu_memory_gb: float | None
    compute_capability: int
    cpus_per_job: int
    mem_gb: float | None
    timeout_min: int
    signal_seconds: int
    max_parallel: int
    max_retries: int
    stall_seconds: float | None
    poll_seconds: float
    per_model: dict[str, dict[str, Any]]
    setup: list[str]
    python: str | None
    additional: dict[str, Any]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> SlurmSettings:
        """Return checked settings. Raises ConfigError for what is wrong."""
        refuse_unknown(cls, given, "hydra.launcher")
        settings = cls(**given)
        mistakes = list(too_small(settings, LEAST, "hydra.launcher"))
        if settings.signal_seconds >= 60 * settings.timeout_min:
            mistakes.append(
                f"hydra.launcher.signal_seconds={settings.signal_seconds} leaves nothing of "
                f"hydra.launcher.timeout_min={settings.timeout_min}: make it smaller."
            )
        for model, own in settings.per_model.items():
            mistakes += [
                f"hydra.launcher.per_model.{model}.{key} can't be set for a model: choose of {', '.join(PER_MODEL)}."
                f"{did_you_mean(key, PER_MODEL)}"
                for key in own
                if key not in PER_MODEL
            ]
        if mistakes:
            raise ConfigError(" ".join(mistakes))
        return settings

    def of(self, model: str) -> SlurmSettings:
        """Return the settings as they are for a model."""
        return replace(self, **self.per_model.get(model, {}))

    def machine(self) -> Machine:
        """Return what a job gets, as planning has to know it."""
        return Machine(
            gpus=self.gpus_per_job,
            compute_capability=self.compute_capability,
            gpu_bytes=None if self.gpu_memory_gb is None else int(self.gpu_memory_gb * GB),
            host_bytes=None if self.mem_gb is None else int(self.mem_gb * GB),
        )
