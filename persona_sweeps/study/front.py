"""The Pareto front of a study of several metrics: the trials that no other beats in every one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState
from rich.markup import escape
from rich.table import Table

from persona_sweeps.planning.console import Console
from persona_sweeps.study.objectives import objectives_in_words
from persona_sweeps.study.settings import StudySettings
from persona_sweeps.study.space import Space
from persona_sweeps.study.storage import RUN, StudyStorage
from persona_sweeps.wording import pluralize


def distinct(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials without those whose run an earlier one has: a setting that was drawn twice counts once."""
    first = {trial.user_attrs[RUN]: trial for trial in reversed(trials)}
    return [trial for trial in trials if first[trial.user_attrs[RUN]] is trial]


def front_of(storage: StudyStorage, settings: StudySettings) -> list[FrozenTrial]:
    """Return the front's trials, each setting once, the best by the first metric first."""
    sign = 1 if settings.direction[0] == "minimize" else -1
    trials = sorted(storage.study.best_trials, key=lambda trial: (sign * trial.values[0], trial.number))
    return distinct(trials)


def spread_out(trials: Sequence[FrozenTrial], most: int) -> list[FrozenTrial]:
    """Return at most `most` trials of a front, in its order, so that they cover it: its ends, then where it is sparse.

    These are the trials with the largest crowding distance (Deb, Pratap, Agarwal & Meyarivan 2002, NSGA-II); of equals
    the earlier in the front.
    """
    distances = _crowding([trial.values for trial in trials])
    chosen = sorted(range(len(trials)), key=lambda index: (-distances[index], index))[:most]
    return [trials[index] for index in sorted(chosen)]


def _crowding(values: Sequence[Sequence[float]]) -> list[float]:
    """Return the crowding distance of each point: the sides of the box between its neighbours, infinite at an end."""
    distances = [0.0] * len(values)
    for objective in range(len(values[0]) if values else 0):
        order = sorted(range(len(values)), key=lambda index: values[index][objective])
        distances[order[0]] = distances[order[-1]] = math.inf
        span = values[order[-1]][objective] - values[order[0]][objective]
        for before, index, after in zip(order, order[1:], order[2:], strict=False):
            if span:
                distances[index] += (values[after][objective] - values[before][objective]) / span
    return distances


def print_front(storage: StudyStorage, space: Space, settings: StudySettings, console: Console) -> None:
    """Print a row for each trial of the front: its values, its setting, and the id of its run."""
    front = front_of(storage, settings)
    completed = len(distinct([t for t in storage.trials() if t.state is TrialState.COMPLETE]))
    console.note(
        f"The front: {len(front)} of {pluralize(completed, 'setting')}, which no other beats in "
        f"{objectives_in_words(settings)} together."
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("trial", justify="right")
    for name in settings.metric:
        table.add_column(escape(name), justify="right", overflow="fold")
    table.add_column("setting", overflow="fold")
    table.add_column("run", no_wrap=True)
    for trial in front:
        setting = " ".join(dimension.override(trial.params[dimension.key]) for dimension in space)
        values = [f"{value:.4g}" for value in trial.values]
        table.add_row(str(trial.number), *values, escape(setting), trial.user_attrs[RUN])
    console.terminal.print(table)
