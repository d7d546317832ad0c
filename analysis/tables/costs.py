"""What runs took: time, tokens, memory and disk, whether they were completed, pruned or failed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ..read.labels import model_label
from ..read.results import STATUSES, RunResult
from ..read.selection import Selection
from ..read.settings import Setting, settings
from ..statistics.spread import spread
from . import notes
from .numbers import ABSENT, Form, Reading, count, megabytes, one_decimal, rate
from .resources import devices, peak_bytes
from .table import Column, Section, Table, cells, raw_rows, shown

SUMMARY = "what runs took, also pruned and failed ones: time, tokens, memory, parameters, disk; and the totals"

_TOKENS, _CPU, _WALL = "training.tokens", "resources.cpu_seconds", "resources.wall_seconds"
_EVALUATION_CPU = "evaluation.resources.cpu_seconds"
_PROVENANCE = ("provenance", "evaluation.provenance")
Amount = Callable[["RunCost"], float | None]


@dataclass(frozen=True)
class RunCost:
    """A run with all its evaluations here, and the size of its folder."""

    run: RunResult
    evaluations: tuple[RunResult, ...]
    disk: int

    def number(self, dotted: str) -> float | None:
        return self.run.number(dotted)

    @property
    def evaluation_cpu(self) -> float | None:
        """The CPU seconds of its evaluations together."""
        known = [seconds for one in self.evaluations if (seconds := one.number(_EVALUATION_CPU)) is not None]
        return sum(known) if known else None

    @property
    def peak(self) -> float | None:
        return max((peak for one in self.evaluations if (peak := peak_bytes(one)) is not None), default=None)


def build(selection: Selection) -> Table:
    """Return one row a setting, and a section of totals by what became of the runs."""
    spent = _spent(selection.results)
    rows = [CostRow(setting, [spent[run_id] for run_id in setting.run_ids]) for setting in _settings(selection)]
    by_setting = Section(
        title="settings",
        rows=cells(COLUMNS, rows),
        notes=_notes(selection.results),
        runs=[row.setting.run_ids for row in rows],
    )
    unread = notes.left_out(replace(selection, results=()))
    return Table(
        title=f"Costs: {selection.title}",
        columns=shown(COLUMNS),
        sections=[by_setting, _totals(selection, list(spent.values()))] if rows else [],
        notes=unread if rows else ["There is no run record yet.", *unread],
        raw=raw_rows(COLUMNS, rows),
    )


def _spent(results: Iterable[RunResult]) -> dict[str, RunCost]:
    """Return what each run took, by its id."""
    by_run: dict[str, list[RunResult]] = {}
    for result in results:
        by_run.setdefault(result.run_id, []).append(result)
    return {run_id: RunCost(of[0], tuple(of), disk_bytes(of[0].folder)) for run_id, of in by_run.items()}


def _settings(selection: Selection) -> list[Setting]:
    """Group runs by their setting, however they were evaluated, and whether they came as far as that."""
    return settings(replace(run, raw={**run.raw, "comparability_key": None}) for run in selection.runs())


def disk_bytes(folder: Path) -> int:
    """Return the sizes of all files in a run's folder, as they are now; a file that goes away meanwhile counts 0."""
    return sum(_sizes(folder))


def _sizes(folder: str | Path) -> Iterator[int]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False).st_size


@dataclass(frozen=True)
class CostRow:
    """A setting with what its runs took."""

    setting: Setting
    runs: Sequence[RunCost]

    @cached_property
    def counted(self) -> list[RunCost]:
        """The completed runs, or all where none was completed."""
        return [spent for spent in self.runs if spent.run.run_status == "completed"] or list(self.runs)

    @property
    def states(self) -> str:
        """How many runs were completed, pruned and so on: `3 completed, 1 pruned`."""
        found = Counter(spent.run.run_status for spent in self.runs)
        return ", ".join(f"{found[status]} {status}" for status in STATUSES if found[status])

    def reading(self, of: Amount) -> Amounts:
        """Return an amount's mean over the counted runs, and its total over all."""
        return Amounts(_known(self.counted, of), len(self.counted), _known(self.runs, of))

    @property
    def speed(self) -> float | None:
        """Training tokens a CPU second of training over all runs that have both."""
        both = [(spent.number(_TOKENS), spent.number(_CPU)) for spent in self.runs]
        known = [(tokens, cpu) for tokens, cpu in both if tokens and cpu]
        return sum(tokens for tokens, _ in known) / sum(cpu for _, cpu in known) if known else None

    @property
    def peak(self) -> float | None:
        """The largest peak of a run: of the GPUs where it ran on one, else of the process, in bytes."""
        return max((spent.peak for spent in self.runs if spent.peak is not None), default=None)

    @property
    def disk(self) -> int:
        return sum(spent.disk for spent in self.runs)


@dataclass(frozen=True)
class Amounts:
    """An amount of the runs that are counted, of so many `runs`, and of `all` runs."""

    counted: Sequence[float]
    runs: int
    all: Sequence[float]

    def text(self, form: Form) -> str:
        return Reading(spread(self.counted), self.runs).text(form)

    def raw(self, name: str) -> dict[str, Any]:
        """Return mean, deviation and count over the counted runs, and the total of all."""
        return Reading(spread(self.counted), self.runs).raw(name) | {
            f"{name}_total": sum(self.all) if self.all else None
        }


def _known(runs: Iterable[RunCost], of: Amount) -> list[float]:
    return [value for spent in runs if (value := of(spent)) is not None]


_AMOUNTS: Sequence[tuple[str, str, Amount, Form]] = (
    ("tokens", "tokens", lambda spent: spent.number(_TOKENS), count),
    ("CPU seconds", "cpu_seconds", lambda spent: spent.number(_CPU), one_decimal),
    ("wall seconds", "wall_seconds", lambda spent: spent.number(_WALL), one_decimal),
    ("evaluating (CPU s)", "evaluation_cpu_seconds", lambda spent: spent.evaluation_cpu, one_decimal),
)
"""heading, raw name, amount and form of what is averaged and added up"""


def _amount(heading: str, raw: str, of: Amount, form: Form) -> Column:
    return Column(heading, value=lambda row: row.reading(of), form=lambda found: found.text(form), raw=raw)


def _status(status: str) -> Column:
    return Column(value=lambda row: sum(spent.run.run_status == status for spent in row.runs), raw=status)


COLUMNS = [
    Column("model", right=False, value=lambda row: model_label(row.setting.first)),
    Column(value=lambda row: row.setting.first.get("config.model.name"), raw="model"),
    Column(value=lambda row: row.setting.first.get("config.model.scale"), raw="scale"),
    Column(value=lambda row: row.setting.first.get("config.quantization.method"), raw="quantization"),
    Column(value=lambda row: row.setting.method, raw="method"),
    Column("method", right=False, value=lambda row: row.setting.label, raw="setting"),
    Column("learning rate", value=lambda row: row.setting.learning_rate, form=rate, raw="learning_rate"),
    Column("runs", right=False, value=lambda row: row.states),
    *map(_status, STATUSES),
    Column(
        "trainable",
        value=lambda row: row.setting.first.number("training.trainable_parameters"),
        form=count,
        raw="trainable_parameters",
    ),
    *(_amount(*amount) for amount in _AMOUNTS),
    Column("tokens / CPU second", value=lambda row: row.speed, form=one_decimal, raw="tokens_per_cpu_second"),
    Column("peak (MB)", value=lambda row: row.peak, form=megabytes, raw="peak_bytes"),
    Column("disk (MB)", value=lambda row: row.disk, form=megabytes, raw="disk_bytes"),
    Column(value=lambda row: " ".join(devices(one for spent in row.runs for one in spent.evaluations)), raw="device"),
    Column(value=lambda row: " ".join(row.setting.run_ids), raw="run_ids"),
]


def _totals(selection: Selection, spent: Sequence[RunCost]) -> Section:
    """Return the sums by what became of the runs, those of trials and finals where there are studies, and of all."""
    finals = {final.run_id for study in selection.studies for final in study.finals}
    trials = {trial.run_id for study in selection.studies for trial in study.trials} - finals
    parts = [(status, [one for one in spent if one.run.run_status == status]) for status in STATUSES]
    if selection.studies:
        parts.append(("of these, studies' trials", [one for one in spent if one.run.run_id in trials]))
        parts.append(("of these, studies' finals", [one for one in spent if one.run.run_id in finals]))
    parts.append(("all", list(spent)))
    found = ["Runs that were trained side by side share their wall time: the sum of it is more than what passed."]
    elapsed = _elapsed(selection.results)
    if elapsed is not None:
        found.append(f"From the first run's start to the last one's end, {elapsed:,.0f} seconds passed.")
    if selection.absent:
        found.append(f"{len(selection.absent)} cells of the sweep have no record, so that what they took isn't known.")
    rows = [part for part in parts if part[1]]
    return Section("totals", cells(_TOTALS, rows), found, _TOTALS)


def _total(heading: str, of: Amount, form: Form) -> Column:
    """Return the column of a sum, with the number of runs that have it where not all do."""

    def text(runs: Sequence[RunCost]) -> str:
        known = _known(runs, of)
        return ABSENT if not known else form(sum(known)) + ("" if len(known) == len(runs) else f" (n={len(known)})")

    return Column(heading, value=lambda part: part[1], form=text)


_TOTALS = [
    Column("runs", right=False, value=lambda part: part[0]),
    Column("count", value=lambda part: len(part[1])),
    *(_total(heading, of, form) for heading, _, of, form in _AMOUNTS),
    _total("disk (MB)", lambda spent: spent.disk, megabytes),
]


def _elapsed(results: Sequence[RunResult]) -> float | None:
    """Return the seconds between the first moment that a record has and the last; None for fewer than two."""
    moments = []
    for path in (f"{part}.{key}" for part in _PROVENANCE for key in ("created", "finished")):
        for result in results:
            with suppress(ValueError, TypeError):
                moments.append(datetime.fromisoformat(result.get(path)))
    with suppress(TypeError):  # times with and without a zone can't be compared
        return (max(moments) - min(moments)).total_seconds() if len(moments) > 1 else None
    return None


def _notes(results: Sequence[RunResult]) -> list[str]:
    found = [
        "Means ± sample standard deviation over the setting's completed runs, or over all where none was completed; "
        "(n=k) where only k runs have it.",
        "Tokens, CPU and wall seconds are those of training; CPU seconds of a run that trained in a group are its "
        "share of the group's. Evaluating adds up all evaluations of a run here; predictions that several score count "
        "in each.",
        "peak is the most memory held by the setting's runs: of the GPUs where they ran on one, else of the process, "
        "which a group shares. disk is what the run folders hold now. 1 MB is 10⁶ bytes.",
    ]
    others = [device for device in devices(results) if device != "cpu"]
    if others:
        found.append(f"Runs on {', '.join(others)} computed there: their CPU seconds are only what fed the device.")
    return [*found, "The CSV of the same name has full precision, totals and run ids."]
