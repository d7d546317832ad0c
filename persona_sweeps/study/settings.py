"""The settings of `hydra/sweeper=optuna`; conf/hydra/sweeper/optuna.yaml explains the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from persona_sweeps.errors import ConfigError, did_you_mean
from persona_sweeps.execution.plugin_settings import refuse_unknown, too_small

DIRECTIONS = ("minimize", "maximize")
SAMPLERS = ("tpe", "gp", "cmaes", "random", "qmc", "grid", "nsga2")
PRUNERS = ("none", "halving", "hyperband", "median", "wilcoxon")


@dataclass(frozen=True)
class StudySettings:
    """The keys of the sweeper; `metric` and `direction` are lists of the same length."""

    n_trials: int
    max_tokens: int | None
    sampler: str
    seed: int
    metric: list[str]
    direction: list[str]
    pruner: str
    pruner_factor: int
    pruner_rungs: int
    max_failures: int | None
    finalists: int
    final_seeds: int
    warm_start: str | None
    warm_start_best: int
    params: dict[str, Any]
    space: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> StudySettings:
        """Return checked settings. Raises ConfigError with every mistake, one sentence each."""
        refuse_unknown(cls, given, "hydra.sweeper")
        values = dict(given)
        for key in ("metric", "direction"):
            values[key] = [values[key]] if isinstance(values[key], str) else list(values[key])
        settings = cls(**values)
        if mistakes := list(_mistakes(settings)):
            raise ConfigError(" ".join(mistakes))
        return settings


LEAST = {
    "n_trials": 1, "max_tokens": 1, "pruner_factor": 2, "pruner_rungs": 1, "max_failures": 1, "finalists": 1,
    "final_seeds": 0, "warm_start_best": 1,
}  # fmt: skip
"""keys that are whole numbers → the smallest value allowed"""


def _mistakes(settings: StudySettings) -> Iterator[str]:
    for check in CHECKS:
        yield from check(settings)


def _choices(settings: StudySettings) -> Iterator[str]:
    for key, value, names in (
        ("sampler", settings.sampler, SAMPLERS),
        ("pruner", settings.pruner, PRUNERS),
        *(("direction", direction, DIRECTIONS) for direction in settings.direction),
    ):
        if value not in names:
            suggestion = did_you_mean(str(value), names)
            yield f"hydra.sweeper.{key}={value} is unknown: choose one of {', '.join(names)}.{suggestion}"


def _numbers(settings: StudySettings) -> Iterator[str]:
    yield from too_small(settings, LEAST, "hydra.sweeper")


def _objectives(settings: StudySettings) -> Iterator[str]:
    metrics, directions = len(settings.metric), len(settings.direction)
    if metrics != directions:
        yield f"hydra.sweeper.metric has {metrics} and hydra.sweeper.direction has {directions}: give one for each."
    if metrics > 1 and settings.pruner != "none":
        yield "With several metrics no run is clearly worse than another: set hydra.sweeper.pruner=none."


CHECKS: tuple[Callable[[StudySettings], Iterator[str]], ...] = (_choices, _numbers, _objectives)
