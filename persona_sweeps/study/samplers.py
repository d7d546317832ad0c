"""Optuna's samplers, seeded so that a killed study resumes with the same draws."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from persona_sweeps.seeds import derive_seed
from persona_sweeps.study.settings import StudySettings
from persona_sweeps.study.space import Space

Make = Callable[[int], BaseSampler]


class SeededPerTrial(BaseSampler):
    """A sampler without state: it is made for each draw, from the study's seed, the trial's number and the parameter.

    A sampler's generator is lost when its process dies. With this seed, the next trial is a function of the study's
    trials only: the same after a kill, and the same in every process.
    """

    def __init__(self, make: Make, seed: int) -> None:
        self._make, self._seed = make, seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler(trial, "").infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler(trial, "").sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler(trial, param_name).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler(trial, "").before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self._sampler(trial, "").after_trial(study, trial, state, values)

    def _sampler(self, trial: FrozenTrial, purpose: str) -> BaseSampler:
        return self._make(derive_seed(self._seed, "sampler", trial.number, purpose) % 2**32)


class _Grid(GridSampler):
    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Don't stop the study after the last point, which Optuna can do in its own loop only; `trials_in` stops it."""


def trials_in(settings: StudySettings, space: Space) -> int:
    """Return how many trials the study has: `n_trials`, but at most the number of points of a grid."""
    if settings.sampler != "grid":
        return settings.n_trials
    return min(settings.n_trials, math.prod(len(values) for values in space.grid().values()))


def _tpe(seed: int) -> BaseSampler:
    # Trials in training count as bad ones, so that new trials explore other settings.
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)


SAMPLERS: dict[str, Make] = {
    "tpe": _tpe,
    "gp": lambda seed: GPSampler(seed=seed),
    "cmaes": lambda seed: CmaEsSampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
    "nsga2": lambda seed: NSGAIISampler(seed=seed),
}
"""hydra.sweeper.sampler → a function that makes it from a seed; make_sampler makes grid and qmc"""


def make_sampler(settings: StudySettings, space: Space) -> BaseSampler:
    """Return the sampler of a study. Raises ConfigError if the space doesn't suit it."""
    if settings.sampler == "grid":
        grid: Mapping[str, list[Any]] = space.grid()
        # The grid's seed decides the order of its points, so it must be the same for all trials.
        return SeededPerTrial(lambda seed: _Grid(grid, seed=settings.seed), settings.seed)
    if settings.sampler == "qmc":
        with warnings.catch_warnings():  # Optuna calls it experimental
            warnings.simplefilter("ignore", ExperimentalWarning)
            return QMCSampler(seed=settings.seed, scramble=True)
    return SeededPerTrial(SAMPLERS[settings.sampler], settings.seed)
