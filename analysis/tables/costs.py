"""What runs took: time, tokens, memory and disk, whether they were completed, pruned or failed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ..read.results import STATUSES, Record, Selection
from ..read.settings import Setting, model_label, settings
from ..statistics.spread import Spread, spread
from . import numbers
from .notes import left_out
from .table import Column, Section, Table

SUMMARY = "what runs took, also pruned and failed ones: time, tokens, memory, parameters, disk; and the totals"

COLUMNS = (
    Column("model", right=False),
    Column("method", right=False),
    Column("learning rate"),
    Column("runs", right=False),
    Column("trainable"),
    Column("tokens"),
    Column("CPU seconds"),
    Column("wall seconds"),
    Column("tokens / CPU second"),
    Column("peak (MB)"),
    Column("disk (MB)"),
)
TOTALS = (
    Column("runs", right=False),
    Column("count"),
    Column("tokens"),
    Column("CPU seconds"),
    Column("wall seconds"),
    Column("disk (MB)"),
)
_TOKENS, _CPU, _WALL = "training.tokens", "resources.cpu_seconds", "resources.wall_seconds"


def build(selection: Selection) -> Table:
    """Return one row a setting, and a section of totals by what became of the runs."""
    disk = {record.run_id: disk_bytes(record.folder) for record in selection.records}
    rows = [_Row(setting, disk) for setting in _settings(selection.records)]
    sections = [
        Section(
            title="settings",
            rows=[row.cells() for row in rows],
            notes=_notes(selection.records),
            runs=[[record.run_id for record in row.setting.records] for row in rows],
        ),
        _totals(selection, disk),
    ]
    unread = left_out(replace(selection, records=()))
    return Table(
        title=f"Costs: {selection.title}",
        columns=COLUMNS,
        sections=sections if rows else [],
        notes=unread if rows else ["There is no run record yet.", *unread],
        raw=[row.raw() for row in rows],
    )


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
class _Row:
    """A setting with what its runs took, `disk` by run id."""

    setting: Setting
    disk: dict[str, int]

    @property
    def records(self) -> Sequence[Record]:
        return self.setting.records

    @property
    def completed(self) -> list[Record]:
        return [record for record in self.records if record.status == "completed"]

    def mean(self, dotted: str) -> Spread | None:
        """Return a number's mean over completed runs, or over all where none was completed."""
        values = [record.number(dotted) for record in self.completed or self.records]
        return spread([value for value in values if value is not None])

    @property
    def speed(self) -> float | None:
        """Training tokens a CPU second over all runs that tell both; evaluation is in the seconds."""
        both = [(r.number(_TOKENS), r.number(_CPU)) for r in self.records]
        known = [(tokens, cpu) for tokens, cpu in both if tokens and cpu]
        return sum(tokens for tokens, _ in known) / sum(cpu for _, cpu in known) if known else None

    @property
    def peak(self) -> float | None:
        """The largest peak of a run: of the GPUs where it ran on one, else of the process, in bytes."""
        known = [value for value in map(_peak, self.records) if value is not None]
        return max(known, default=None)

    def cells(self) -> list[str]:
        first, runs = self.setting.first, len(self.completed or self.records)
        return [
            model_label(first),
            self.setting.label,
            numbers.rate(self.setting.learning_rate),
            told_states(self.records),
            numbers.count(first.number("training.trainable_parameters")),
            numbers.with_spread(self.mean(_TOKENS), numbers.count, runs),
            numbers.with_spread(self.mean(_CPU), one_decimal, runs),
            numbers.with_spread(self.mean(_WALL), one_decimal, runs),
            numbers.ABSENT if self.speed is None else f"{self.speed:,.1f}",
            _megabytes(self.peak),
            _megabytes(sum(self.disk[record.run_id] for record in self.records)),
        ]

    def raw(self) -> dict[str, Any]:
        first, states = self.setting.first, Counter(record.status for record in self.records)
        row: dict[str, Any] = {
            "model": first.get("config.model.name"),
            "scale": first.get("config.model.scale"),
            "quantization": first.get("config.quantization.method"),
            "method": self.setting.method,
            "setting": self.setting.label,
            "learning_rate": self.setting.learning_rate,
            **{status: states[status] for status in STATUSES},
            "trainable_parameters": first.number("training.trainable_parameters"),
        }
        for name, dotted in (("tokens", _TOKENS), ("cpu_seconds", _CPU), ("wall_seconds", _WALL)):
            mean, total = self.mean(dotted), _sum(self.records, dotted)
            row |= {name: mean and mean.mean, f"{name}_sd": mean and mean.sd, f"{name}_n": mean.n if mean else 0}
            row[f"{name}_total"] = total[0] if total[1] else None
        return row | {
            "tokens_per_cpu_second": self.speed,
            "peak_bytes": self.peak,
            "disk_bytes": sum(self.disk[record.run_id] for record in self.records),
            "device": " ".join(_devices(self.records)),
            "run_ids": " ".join(record.run_id for record in self.records),
        }


def told_states(records: Sequence[Record]) -> str:
    """Return how many runs were completed, pruned and so on: `3 completed, 1 pruned`."""
    count = Counter(record.status for record in records)
    return ", ".join(f"{count[status]} {status}" for status in STATUSES if count[status])


def one_decimal(value: float) -> str:
    return f"{value:,.1f}"


def _settings(records: Sequence[Record]) -> list[Setting]:
    """Group runs by config less their seed, whether or not they came as far as to have a comparability key."""
    whole = {record.run_id: record for record in records}
    bare = [replace(r, raw={**r.raw, "comparability_key": None, "provenance": {}}) for r in records]
    return [replace(found, records=tuple(whole[r.run_id] for r in found.records)) for found in settings(bare)]


def _totals(selection: Selection, disk: dict[str, int]) -> Section:
    """Return the sums by what became of the runs, those of trials and finals where there are studies, and of all."""
    records = selection.records
    finals = {final.run_id for study in selection.studies for final in study.finals}
    trials = {trial.run_id for study in selection.studies for trial in study.trials} - finals
    parts = [(status, [record for record in records if record.status == status]) for status in STATUSES]
    if selection.studies:
        parts.append(("of these, studies' trials", [record for record in records if record.run_id in trials]))
        parts.append(("of these, studies' finals", [record for record in records if record.run_id in finals]))
    parts.append(("all", list(records)))
    notes = ["Runs that were trained side by side share their wall time: the sum of it is more than what passed."]
    elapsed = _elapsed(records)
    if elapsed is not None:
        notes.append(f"From the first run's start to the last one's end, {elapsed:,.0f} seconds passed.")
    if selection.absent:
        notes.append(f"{len(selection.absent)} cells of the sweep have no record, so that what they took isn't known.")
    rows = [_total(name, part, disk) for name, part in parts if part]
    return Section("totals", rows, notes, TOTALS)


def _total(name: str, records: Sequence[Record], disk: dict[str, int]) -> list[str]:
    sums = [_sum(records, dotted) for dotted in (_TOKENS, _CPU, _WALL)]
    forms = (numbers.count, one_decimal, one_decimal)
    told = [_told_sum(total, n, len(records), form) for (total, n), form in zip(sums, forms, strict=True)]
    return [name, str(len(records)), *told, _megabytes(sum(disk[record.run_id] for record in records))]


def _sum(records: Iterable[Record], dotted: str) -> tuple[float, int]:
    """Return the sum of a number, and how many records have it."""
    values = [value for value in (record.number(dotted) for record in records) if value is not None]
    return sum(values), len(values)


def _told_sum(total: float, n: int, runs: int, form: Callable[[float], str]) -> str:
    if not n:
        return numbers.ABSENT
    return form(total) if n == runs else f"{form(total)} (n={n})"


def _elapsed(records: Sequence[Record]) -> float | None:
    """Return the seconds between the first start and the last end; None where no run tells both."""
    times = []
    for record in records:
        with suppress(ValueError, TypeError):
            times.append([datetime.fromisoformat(record.get(f"provenance.{key}")) for key in ("created", "finished")])
    with suppress(TypeError):  # times with and without a zone can't be compared
        return (max(end for _, end in times) - min(start for start, _ in times)).total_seconds() if times else None
    return None


def _notes(records: Sequence[Record]) -> list[str]:
    notes = [
        "Means ± sample standard deviation over the setting's completed runs, or over all where none was completed; "
        "(n=k) where only k runs tell it.",
        "CPU seconds of a run that trained in company are its share of the group's, evaluation included: so tokens / "
        "CPU second (training tokens, all runs of the setting) is less than the speed of training alone.",
        "peak is the most memory held by the setting's runs: of the GPUs where they ran on one, else of the process, "
        "which a group shares. disk is what the run folders hold now. 1 MB is 10⁶ bytes.",
    ]
    others = [device for device in _devices(records) if device != "cpu"]
    if others:
        notes.append(f"Runs on {', '.join(others)} computed there: their CPU seconds are only what fed the device.")
    return [*notes, "The CSV of the same name has full precision, totals and run ids."]


def _devices(records: Sequence[Record]) -> list[str]:
    return sorted({str(record.get("resources.device")) for record in records if record.get("resources.device")})


def _peak(record: Record) -> float | None:
    on_gpu = str(record.get("resources.device", "")).startswith("cuda")
    return record.number("resources.peak_device_bytes" if on_gpu else "resources.peak_rss_bytes")


def _megabytes(value: float | None) -> str:
    return numbers.ABSENT if value is None else f"{value / 1e6:,.1f}"
