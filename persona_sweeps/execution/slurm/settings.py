"""The settings of `hydra/launcher=slurm`; conf/hydra/launcher/slurm.yaml says what each key is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from persona_sweeps.errors import ConfigError, did_you_mean
from persona_sweeps.execution.job_settings import LEAST, JobSettings
from persona_sweeps.execution.plugin_settings import refuse_unknown, too_small

PER_MODEL = ("gpus_per_job", "gpu_type", "gpu_memory_gb", "cpus_per_job", "mem_gb", "timeout_min", "constraint")


@dataclass(frozen=True)
class SlurmSettings(JobSettings):
    """The keys of the launcher."""

    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    timeout_min: int
    signal_seconds: int
    per_model: dict[str, dict[str, Any]]
    setup: list[str]
    python: str | None
    additional: dict[str, Any]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> SlurmSettings:
        """Return checked settings. Raises ConfigError for what is wrong."""
        refuse_unknown(cls, given, "hydra.launcher")
        settings = cls(**given)
        mistakes = list(too_small(settings, {**LEAST, "timeout_min": 1, "signal_seconds": 1}, "hydra.launcher"))
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
