"""Studies as sweep.json and the records of their runs tell them: how each searched, and what every trial came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from persona_sweeps.wording import counted

if TYPE_CHECKING:
    from .results import Record

LARGEST = 1e100
"""no measurement is larger: statistics of such numbers overflow"""
DIRECTIONS = ("minimize", "maximize")
COMPLETED, PRUNED, FAILED, RUNNING, PLANNED = "completed", "pruned", "failed", "running", "planned"
UNKNOWN = "unknown"
"""the state of a trial that was completed, by sweep.json, but whose record or value is missing"""
ENDED = (COMPLETED, PRUNED, FAILED)


@dataclass(frozen=True)
class Trial:
    """One trial; `values` are the study's metrics if it was completed, tokens and CPU seconds what its training took.

    Both are None where the record doesn't tell, and 0 where an earlier trial of the study drew the same run.
    """

    number: int
    state: str
    params: Mapping[str, Any]
    run_id: str | None = None
    record: Record | None = None
    values: tuple[float, ...] | None = None
    tokens: float | None = None
    cpu_seconds: float | None = None

    @property
    def value(self) -> float | None:
        """The value of the first metric."""
        return self.values[0] if self.values else None

    @property
    def key(self) -> str | None:
        """The comparability key of its run."""
        return None if self.record is None else str(self.record.get("comparability_key"))


@dataclass(frozen=True)
class Final:
    """A run that trained a winner anew: the number of the trial that it repeats, and its own seed."""

    trial: int
    seed: Any
    state: str
    run_id: str | None
    record: Record | None


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
    trials: tuple[Trial, ...]
    finals: tuple[Final, ...] = ()

    @property
    def completed(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.state == COMPLETED]

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.trials)

    def maximizes(self, place: int = 0) -> bool:
        """Whether more of this metric is better."""
        return self.directions[place] == "maximize"

    @property
    def example(self) -> Record | None:
        """A record of one of its trials, completed if there is one: what all have in common can be read there."""
        records = [trial.record for trial in [*self.completed, *self.trials] if trial.record is not None]
        return records[0] if records else None


class _Unusable(Exception):
    """A study can't be read; the message says why."""


def read_studies(
    sweep: str, document: Mapping[str, Any], records: Mapping[str, Record]
) -> tuple[list[Study], list[str]]:
    """Return the studies of a sweep.json, and a reason for everything in it that was set aside.

    `records` are the runs by id. A sweep without studies gives none.
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
    reasons = [f"{counted(n, 'cell')} of a study {name!r} that it doesn't describe" for name, n in stray.items()]
    studies = []
    for name, about in described.items():
        try:
            study, faults = _study(name, sweep, about, cells[name], records)
        except _Unusable as error:
            reasons.append(f"study {name!r}: {error}")
        else:
            studies.append(study)
            reasons += [f"study {name!r}: {counted(n, 'cell')} {fault}" for fault, n in faults.items()]
    return studies, reasons


def _study(
    name: str, sweep: str, about: Any, cells: list[Mapping[str, Any]], records: Mapping[str, Record]
) -> tuple[Study, Counter[str]]:
    if not isinstance(about, Mapping):
        raise _Unusable("its description is not an object")
    metrics, directions = _names(about, "metric"), _names(about, "direction")
    if len(metrics) != len(directions) or any(direction not in DIRECTIONS for direction in directions):
        raise _Unusable(f"its direction is {about.get('direction')!r}, not minimize or maximize for each metric")
    space = about.get("space", {})
    if not isinstance(space, Mapping) or not all(isinstance(found, Mapping) for found in space.values()):
        raise _Unusable("its space is not an object of distributions")
    faults: Counter[str] = Counter()
    trials, finals = _runs(cells, metrics, records, faults)
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


def _runs(
    cells: list[Mapping[str, Any]], metrics: tuple[str, ...], records: Mapping[str, Record], faults: Counter[str]
) -> tuple[dict[int, Trial], list[Final]]:
    """Return trials by number, and final runs; count what can't be used."""
    trials: dict[int, Trial] = {}
    finals: list[Final] = []
    for cell in cells:
        number, run_id = cell.get("trial"), cell.get("run_id")
        record = records.get(run_id) if isinstance(run_id, str) else None
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            faults[f"whose trial is {str(number)[:20]!r}, not a number from 0"] += 1
        elif cell.get("final"):
            state = record.status if record is not None else PLANNED
            finals.append(Final(number, cell.get("seed"), state, record.run_id if record else None, record))
        elif number in trials:
            faults[f"that repeat trial {number}"] += 1
        else:
            trials[number] = _trial(number, cell, record, metrics, faults)
    return trials, finals


def _trial(
    number: int, cell: Mapping[str, Any], record: Record | None, metrics: tuple[str, ...], faults: Counter[str]
) -> Trial:
    params = cell.get("params", {})
    if not isinstance(params, Mapping):
        faults["whose params are not an object"] += 1
        params = {}
    state = _state(cell.get("state"), record)
    values = None
    if state == UNKNOWN:
        faults[f"whose state is {str(cell.get('state'))[:20]!r}"] += 1
    if state == COMPLETED:
        found = [_value(record, metric) for metric in metrics] if record is not None else []
        missing = [metric for metric, value in zip(metrics, found, strict=False) if value is None]
        if record is None or missing:
            state = UNKNOWN
            told = f"whose record has no finite {' or '.join(missing)}" if missing else "without a run record"
            faults[f"of completed trials {told}"] += 1
        else:
            values = tuple(value for value in found if value is not None)
    return Trial(
        number=number,
        state=state,
        params=params,
        run_id=None if cell.get("run_id") is None else str(cell.get("run_id")),
        record=record,
        values=values,
        tokens=_cost(record, "training.tokens"),
        cpu_seconds=_cost(record, "resources.cpu_seconds"),
    )


def _state(told: Any, record: Record | None) -> str:
    """Return a trial's state: what sweep.json says, but that a run which has ended since isn't running or planned.

    A trial may have been failed or pruned although its run was completed: by another trial, or without the metric.
    """
    if told in (PRUNED, FAILED):
        return str(told)
    if record is not None:
        return record.status
    return str(told) if told in (COMPLETED, RUNNING, PLANNED) else UNKNOWN


def _value(record: Record | None, metric: str) -> float | None:
    """Return a study's metric: a name in the record's metrics, or with dots a place in the record."""
    number = record.number(metric if "." in metric else f"metrics.{metric}") if record is not None else None
    return float(number) if number is not None and abs(number) <= LARGEST else None


def _cost(record: Record | None, dotted: str) -> float | None:
    number = record.number(dotted) if record is not None else None
    return number if number is not None and abs(number) <= LARGEST and number >= 0 else None


def _paid_once(trials: Iterator[Trial]) -> Iterator[Trial]:
    """Yield trials in order, at no cost where an earlier one drew the same run."""
    seen: set[str] = set()
    for trial in trials:
        if trial.run_id in seen:
            yield replace(trial, tokens=0, cpu_seconds=0)
        else:
            yield trial
        if trial.run_id is not None:
            seen.add(trial.run_id)
