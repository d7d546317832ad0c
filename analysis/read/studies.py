"""Read studies from sweep.json and the records of their runs: how each searched, and what every trial came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from persona_sweeps.wording import pluralize

from .measures import METRICS, Measure, measures
from .results import COMPLETED, FAILED, PRUNED, RUNNING, RunResult, Runs

LARGEST = 1e100
"""no measurement is larger: statistics of such numbers overflow"""
DIRECTIONS = ("minimize", "maximize")
PLANNED, UNKNOWN = "planned", "unknown"
"""unknown is a trial that was completed, by sweep.json, but whose record or value is missing"""
ENDED = (COMPLETED, PRUNED, FAILED)


@dataclass(frozen=True)
class StudyTrial:
    """One trial; `values` are the study's metrics if it was completed, tokens and CPU seconds what its training took.

    Both are None where the record doesn't say, and 0 where an earlier trial of the study drew the same run.
    """

    number: int
    state: str
    params: Mapping[str, Any]
    run_id: str | None = None
    result: RunResult | None = None
    values: tuple[float, ...] | None = None
    tokens: float | None = None
    cpu_seconds: float | None = None

    @property
    def value(self) -> float | None:
        """The value of the first metric."""
        return self.values[0] if self.values else None

    @property
    def key(self) -> str | None:
        """The comparability key of its evaluation."""
        return None if self.result is None else str(self.result.key)


@dataclass(frozen=True)
class StudyFinal:
    """A run that trained a winner anew: the number of the trial that it repeats, and its own seed."""

    trial: int
    seed: Any
    state: str
    run_id: str | None
    result: RunResult | None


@dataclass(frozen=True)
class Study:
    """A study with its trials in the order they were asked for.

    `space` maps what varied to a distribution as Optuna writes it as JSON: `{"name": …, "attributes": {…}}`.
    """

    name: str
    sweep: str
    metrics: tuple[str, ...]
    directions: tuple[str, ...]
    sampler: str
    pruner: str
    space: Mapping[str, Mapping[str, Any]]
    trials: tuple[StudyTrial, ...]
    finals: tuple[StudyFinal, ...] = ()

    @property
    def completed(self) -> list[StudyTrial]:
        return [trial for trial in self.trials if trial.state == COMPLETED]

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.trials)

    def maximizes(self, index: int = 0) -> bool:
        """Whether more of this metric is better."""
        return self.directions[index] == "maximize"

    def by(self, index: int) -> Study:
        """Return the study as if it had been for one of its metrics alone."""
        trials = (replace(trial, values=trial.values and (trial.values[index],)) for trial in self.trials)
        only = {"metrics": (self.metrics[index],), "directions": (self.directions[index],)}
        return replace(self, trials=tuple(trials), **only)  # type: ignore[arg-type]  # tuples of strings

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """What is known of its metrics, from the evaluations of its trials."""
        known = measures(trial.result for trial in self.trials if trial.result is not None)
        return tuple(known[path_of(metric)] for metric in self.metrics)


def path_of(metric: str) -> str:
    """Return the dotted path of a study's metric: a name among the metrics, or with dots a path already."""
    return metric if "." in metric else f"{METRICS}{metric}"


class _Unusable(Exception):
    """A study can't be read; the message says why."""


def read_studies(sweep: str, document: Mapping[str, Any], runs: Runs) -> tuple[list[Study], list[str]]:
    """Return the studies of a sweep.json, and a reason for everything in it that was set aside.

    A sweep without studies gives none.
    """
    described = document.get("studies", {})
    if not isinstance(described, Mapping):
        return [], ["its studies are not an object by name"]
    cells: dict[str, list[Mapping[str, Any]]] = {name: [] for name in described}
    stray: Counter[str] = Counter()
    for cell in document["cells"]:
        name = cell.get("study") if isinstance(cell, Mapping) else None
        if isinstance(name, str) and name in cells:
            cells[name].append(cell)
        elif name is not None:
            stray[str(name)] += 1
    reasons = [f"{pluralize(n, 'cell')} of a study {name!r} that it doesn't describe" for name, n in stray.items()]
    studies = []
    for name, about in described.items():
        try:
            study, faults = _study(name, sweep, about, cells[name], runs)
        except _Unusable as error:
            reasons.append(f"study {name!r}: {error}")
        else:
            studies.append(study)
            reasons += [f"study {name!r}: {pluralize(n, 'cell')} {fault}" for fault, n in faults.items()]
    return studies, reasons


def _study(name: str, sweep: str, about: Any, cells: list[Mapping[str, Any]], runs: Runs) -> tuple[Study, Counter[str]]:
    if not isinstance(about, Mapping):
        raise _Unusable("its description is not an object")
    metrics, directions = _names(about, "metric"), _names(about, "direction")
    if len(metrics) != len(directions) or any(direction not in DIRECTIONS for direction in directions):
        raise _Unusable(f"its direction is {about.get('direction')!r}, not minimize or maximize for each metric")
    space = about.get("space", {})
    if not isinstance(space, Mapping) or not all(isinstance(found, Mapping) for found in space.values()):
        raise _Unusable("its space is not an object of distributions")
    faults: Counter[str] = Counter()
    trials, finals = _trials_and_finals(cells, metrics, runs, faults)
    study = Study(
        name=name,
        sweep=sweep,
        metrics=metrics,
        directions=directions,
        sampler=str(about.get("sampler")),
        pruner=str(about.get("pruner")),
        space=space,
        trials=tuple(_paid_once(trials[number] for number in sorted(trials))),
        finals=tuple(finals),
    )
    return study, faults


def _names(about: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a list of names, where one alone may stand for itself."""
    found = [about.get(key)] if isinstance(about.get(key), str) else about.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(name, str) for name in found):
        raise _Unusable(f"its {key} is {found!r}, not a list of names")
    return tuple(found)


def _trials_and_finals(
    cells: list[Mapping[str, Any]], metrics: tuple[str, ...], runs: Runs, faults: Counter[str]
) -> tuple[dict[int, StudyTrial], list[StudyFinal]]:
    """Return trials by number, and final runs; count what can't be used."""
    trials: dict[int, StudyTrial] = {}
    finals: list[StudyFinal] = []
    for cell in cells:
        number, result = cell.get("trial"), _result(cell, runs)
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            faults[f"whose trial is {str(number)[:20]!r}, not a number from 0"] += 1
        elif cell.get("final"):
            state = PLANNED if result is None else _state_of(result)
            finals.append(StudyFinal(number, cell.get("seed"), state, result.run_id if result else None, result))
        elif number in trials:
            faults[f"that repeat trial {number}"] += 1
        else:
            trials[number] = _trial(number, cell, result, metrics, faults)
    return trials, finals


def _result(cell: Mapping[str, Any], runs: Runs) -> RunResult | None:
    """Return the evaluation that a cell names; where it names none, the run's first."""
    run_id = cell.get("run_id")
    run = runs.get(run_id) if isinstance(run_id, str) else None
    return None if run is None else run.find(cell.get("evaluation_id"))[0]


def _trial(
    number: int, cell: Mapping[str, Any], result: RunResult | None, metrics: tuple[str, ...], faults: Counter[str]
) -> StudyTrial:
    params = cell.get("params", {})
    if not isinstance(params, Mapping):
        faults["whose params are not an object"] += 1
        params = {}
    state = _state(cell.get("state"), result)
    values = None
    if state == UNKNOWN:
        faults[f"whose state is {str(cell.get('state'))[:20]!r}"] += 1
    if state == COMPLETED:
        found = [_value(result, metric) for metric in metrics] if result is not None else []
        missing = [metric for metric, value in zip(metrics, found, strict=False) if value is None]
        if result is None or missing:
            state = UNKNOWN
            why = f"whose record has no finite {' or '.join(missing)}" if missing else "without a run record"
            faults[f"of completed trials {why}"] += 1
        else:
            values = tuple(value for value in found if value is not None)
    return StudyTrial(
        number=number,
        state=state,
        params=params,
        run_id=None if cell.get("run_id") is None else str(cell.get("run_id")),
        result=result,
        values=values,
        tokens=_cost(result, "training.tokens"),
        cpu_seconds=_cost(result, "resources.cpu_seconds"),
    )


def _state(stated: Any, result: RunResult | None) -> str:
    """Return a trial's state: what sweep.json says, but that a run which has ended since isn't running or planned.

    A trial may have been failed or pruned although its run was completed: by another trial, or without the metric.
    """
    if stated in (PRUNED, FAILED):
        return str(stated)
    if result is not None and not (stated == COMPLETED and _state_of(result) == RUNNING):
        return _state_of(result)
    return str(stated) if stated in (COMPLETED, RUNNING, PLANNED) else UNKNOWN


def _state_of(result: RunResult) -> str:
    """Return how a result ended; a run that is trained and not evaluated yet is running."""
    return RUNNING if result.status == COMPLETED and result.evaluation_id is None else result.status


def _value(result: RunResult, metric: str) -> float | None:
    number = result.number(path_of(metric))
    return float(number) if number is not None and abs(number) <= LARGEST else None


def _cost(result: RunResult | None, dotted: str) -> float | None:
    number = result.number(dotted) if result is not None else None
    return number if number is not None and abs(number) <= LARGEST and number >= 0 else None


def _paid_once(trials: Iterator[StudyTrial]) -> Iterator[StudyTrial]:
    """Yield trials in order, at no cost where an earlier one drew the same run."""
    seen: set[str] = set()
    for trial in trials:
        if trial.run_id in seen:
            yield replace(trial, tokens=0, cpu_seconds=0)
        else:
            yield trial
        if trial.run_id is not None:
            seen.add(trial.run_id)
