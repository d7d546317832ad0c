"""What trackers show, read from records: a sweep's runs, each with its evaluation, and its tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from persona_sweeps.analysis_package import analysis_module
from persona_sweeps.records.evaluation import outcome
from persona_sweeps.records.files import read_json
from persona_sweeps.records.folders import RunFolder, SweepFolder
from persona_sweeps.records.redaction import redacted

OVER = ("completed", "failed", "pruned", "interrupted")
"""states in which nothing more comes of a run"""
_PROVENANCE = (
    "git_commit", "git_dirty", "data_fingerprint", "template_fingerprint", "model_fingerprint", "packages", "host_cpu",
    "created", "finished",
)  # fmt: skip


@dataclass(frozen=True)
class RunEntry:
    """A run as a sweep has it, with one of its evaluations."""

    id: str
    """the run's id for the evaluation that came first in the sweep that trained it, else longer"""
    name: str
    sweep: str
    job_type: str
    """train, reference (nothing is trained), final (a study's winner, trained anew), or evaluation (a further one)"""
    status: str
    reason: str
    """why it failed, or was pruned"""
    config: Mapping[str, Any]
    """nested, with provenance and study"""
    metrics: Mapping[str, float]
    descriptions: Mapping[str, Mapping[str, Any]]
    folder: RunFolder
    files: Path
    """the folder in which a tracker may write files for this entry"""
    evaluation_id: str | None
    created: float
    """seconds since 1970"""
    tags: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.status in OVER

    @property
    def has_curves(self) -> bool:
        """Whether it shows the history; a further evaluation leaves it to the first."""
        return self.job_type not in ("reference", "evaluation")

    @cached_property
    def digest(self) -> str:
        """A digest of all that is shown of the run; the history has one of its own in the record."""
        shown = [self.name, self.job_type, self.status, self.reason, self.config, self.metrics, self.tags]
        return hashlib.sha256(json.dumps(shown, sort_keys=True, default=str).encode()).hexdigest()[:16]

    @property
    def facts(self) -> dict[str, Any]:
        """The state and what training came to, beside the metrics."""
        training = {key: value for key, value in self.config.get("training", {}).items() if _is_plain(value)}
        reason = {"reason": self.reason} if self.reason else {}
        return {"status": self.status, **reason, **{f"training/{key}": value for key, value in training.items()}}

    def samples(self) -> list[dict[str, Any]]:
        """Return the evaluated items; none without an evaluation."""
        if self.evaluation_id is None:
            return []
        return list(_lines(self.folder.samples(self.evaluation_id)))

    def points(self) -> list[dict[str, Any]]:
        """Return the points of the curves."""
        return list(_lines(self.folder.history)) if self.has_curves else []


@dataclass(frozen=True)
class TableEntry:
    """A table of a sweep, at full precision."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]] = field(default_factory=list)


def rows_of(files: SweepFolder) -> list[Mapping[str, Any]]:
    """Return the cells that a sweep's record lists."""
    listed = (read_json(files.record) or {}).get("cells")
    return [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []


def entries_of(output_dir: Path, sweep: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[RunEntry]:
    """Yield the runs of these cells, as far as there are records of them; each with its first evaluation, then others.

    A run that was trained by another sweep has an id of its own in this one, so that each sweep is whole.
    """
    evaluations: dict[str, dict[str, None]] = {}
    for row in rows:
        if isinstance(row.get("folder"), str) and isinstance(row.get("evaluation_id"), str):
            evaluations.setdefault(row["folder"], {})[row["evaluation_id"]] = None
    for name, ids in evaluations.items():
        folder = RunFolder(output_dir / name)
        ordered = sorted(ids, key=lambda one: (_created(read_json(folder.evaluation(one))) or "9", one))
        for place, evaluation_id in enumerate(ordered):
            if (entry := _entry(output_dir, sweep, folder, evaluation_id, place)) is not None:
                yield entry


class EntryCache:
    """Reads the runs of a growing list of cells again and again, each only when its records have changed."""

    def __init__(self, output_dir: Path, sweep: str) -> None:
        self._output_dir, self._sweep = output_dir, sweep
        self._read: dict[str, tuple[object, list[RunEntry]]] = {}

    def read(self, rows: Sequence[Mapping[str, Any]]) -> list[RunEntry]:
        """Return what `entries_of` yields."""
        by_folder: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            by_folder.setdefault(str(row.get("folder")), []).append(row)
        found = []
        for name, of_run in by_folder.items():
            state = (len(of_run), *self._changed(RunFolder(self._output_dir / name)))
            if name not in self._read or self._read[name][0] != state:
                self._read[name] = state, list(entries_of(self._output_dir, self._sweep, of_run))
            found += self._read[name][1]
        return found

    def _changed(self, folder: RunFolder) -> Iterator[int]:
        """Yield when the record, and the folder of evaluations, were written last."""
        for path in (folder.record, folder.evaluations):
            try:
                yield path.stat().st_mtime_ns
            except OSError:
                yield 0


def _entry(output_dir: Path, sweep: str, folder: RunFolder, evaluation_id: str, place: int) -> RunEntry | None:
    found = outcome(folder, evaluation_id)
    if not found.run or (place and not found.evaluation):
        return None
    run, evaluation = found.run, found.evaluation
    trained_by = ((run["config"].get("sweep") or {}).get("name")) == sweep
    study = run["provenance"].get("study") or {}
    trains = bool((run.get("predictor") or {}).get("trains", True))
    job_type = "evaluation" if place else "final" if study.get("final") else "train" if trains else "reference"
    whole = f"{run['run_id']}-{evaluation_id}" if place else str(run["run_id"])
    tags = [job_type, f"sweep:{sweep}"[:64]]
    if not trained_by:
        whole += f"-{hashlib.sha256(sweep.encode()).hexdigest()[:4]}"
        tags.append("earlier")
    if found.status == "pruned":
        tags.append("pruned")
    own = not place and trained_by
    return RunEntry(
        id=whole,
        name=str(run.get("name") or run["run_id"]) + (f"-{evaluation_id}" if place else ""),
        sweep=sweep,
        job_type=job_type,
        status={"trained": "running"}.get(found.status, found.status),
        reason=found.reason,
        config=_config(run, evaluation, study),
        metrics=dict(found.metrics),
        descriptions=found.descriptions,
        folder=folder,
        files=folder.path if own else SweepFolder.of(output_dir, sweep).path / "tracking" / whole,
        evaluation_id=evaluation_id if evaluation else None,
        created=_seconds(_created(run)),
        tags=tuple(tags),
    )


def _config(run: Mapping[str, Any], evaluation: Mapping[str, Any], study: Mapping[str, Any]) -> dict[str, Any]:
    asked = evaluation.get("config") or {}
    provenance = {key: run["provenance"].get(key) for key in _PROVENANCE}
    config = {
        **{key: value for key, value in run["config"].items() if key != "tracker"},
        **{key: asked[key] for key in ("generation", "metrics") if key in asked},
    }
    return {
        **redacted(config),  # and nothing else: a commit looks like a key
        "run_id": run["run_id"],
        "setting_key": run.get("setting_key"),
        "comparability_key": evaluation.get("comparability_key"),
        "predictor": run.get("predictor") or {},
        "training": run["training"],
        "resources": run.get("resources") or {},
        "data": evaluation.get("data") or run.get("data") or {},
        "provenance": provenance,
        **({"study": dict(study)} if study else {}),
    }


def tables_of(output_dir: Path, sweep: str) -> list[TableEntry]:
    """Return the tables of a sweep that have rows, as `python -m analysis --sweep` makes them."""
    selection = analysis_module("read.selection").read_sweep(output_dir, sweep)
    tables = analysis_module("tables")
    options = analysis_module("tables.options").TableOptions()
    found = []
    for name, entry in tables.TABLES.items():
        if not entry.applies(selection):
            continue
        table = entry.make(selection, options)
        columns = list(dict.fromkeys(key for row in table.raw for key in row))
        if columns:
            rows = [[_cell(row.get(column)) for column in columns] for row in table.raw]
            found.append(TableEntry(name, table.title, columns, rows))
    return found


def _cell(value: Any) -> Any:
    return value if value is None or _is_plain(value) else json.dumps(value, default=str)


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file that are whole."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _created(record: Mapping[str, Any] | None) -> str | None:
    provenance = (record or {}).get("provenance")
    created = provenance.get("created") if isinstance(provenance, Mapping) else None
    return created if isinstance(created, str) else None


def _seconds(text: str | None) -> float:
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return 0.0
