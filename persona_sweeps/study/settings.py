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
FOR_ONE_METRIC = ("cmaes",)
"""samplers that can't search for several metrics"""
OF_A_FRONT = 5
"""settings of a Pareto front that are trained again unless `finalists` says how many"""


@dataclass(frozen=True)
class StudySettings:
    """The keys of the sweeper; `metric` is a list, and `direction` one of the same length, empty until it is resolved.

    `pruner` and `finalists` have values: those given, or what suits the number of metrics.
    """

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
            values[key] = [values[key]] if isinstance(values[key], str) else list(values[key] or ())
        several = len(values["metric"]) > 1
        usual = {"pruner": "none" if several else "halving", "finalists": OF_A_FRONT if several else 1}
        settings = cls(**values | {key: value for key, value in usual.items() if values[key] is None})
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
    if not metrics or len(set(settings.metric)) < metrics:
        yield f"hydra.sweeper.metric=[{','.join(settings.metric)}] must have at least one metric, and each once."
    if directions and metrics != directions:
        yield f"hydra.sweeper.metric has {metrics} and hydra.sweeper.direction has {directions}: give one for each."
    if metrics > 1 and settings.pruner in PRUNERS[1:]:
        yield (
            f"hydra.sweeper.pruner={settings.pruner} stops runs by one number, and with several metrics none is "
            "clearly worse than another: leave it out."
        )
    if metrics > 1 and settings.sampler in FOR_ONE_METRIC:
        able = ", ".join(name for name in SAMPLERS if name not in FOR_ONE_METRIC)
        yield f"hydra.sweeper.sampler={settings.sampler} searches for one metric; for several, choose one of {able}."


CHECKS: tuple[Callable[[StudySettings], Iterator[str]], ...] = (_choices, _numbers, _objectives)
