"""Reads run records and sweeps; a file that can't be read is set aside with its reason, never an error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from persona_sweeps.errors import UserError, did_you_mean

from .studies import Study, read_studies

SCHEMA_VERSION = 1
STATUSES = ("completed", "failed", "pruned", "running")


@dataclass(frozen=True)
class Problem:
    """A file that was set aside, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Record:
    """One run.json; `folder` is the run's own."""

    run_id: str
    status: str
    folder: Path
    raw: Mapping[str, Any]

    def get(self, dotted: str, default: Any = None) -> Any:
        """Return the value at a dotted path (`config.peft.r`), or `default` where there is none."""
        value: Any = self.raw
        for key in dotted.split("."):
            if not isinstance(value, Mapping) or key not in value:
                return default
            value = value[key]
        return value

    def number(self, dotted: str) -> float | None:
        """Return the number at a dotted path; None when it is absent, not a number, or NaN."""
        value = self.get(dotted)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            return None
        return value


@dataclass(frozen=True)
class Selection:
    """The runs that a report is about, in order, with all that it has to tell beside them.

    `absent` has, for each cell of a sweep without a run record, what the sweep says of it.
    """

    title: str
    records: Sequence[Record]
    problems: Sequence[Problem] = ()
    absent: Sequence[str] = ()
    studies: Sequence[Study] = ()

    def completed(self) -> list[Record]:
        return [record for record in self.records if record.status == "completed"]


class _SetAside(Exception):
    """A file can't be used; the message says why."""


@dataclass
class _Reader:
    """Reads files, collecting those that can't be used."""

    problems: list[Problem] = field(default_factory=list)

    def sweep(self, path: Path) -> Mapping[str, Any] | None:
        """Return a sweep.json, which has a list of cells; None after setting it aside."""
        try:
            document = _json(path)
            if not isinstance(document.get("cells"), list):
                raise _SetAside("it has no list of cells")
        except _SetAside as reason:
            self.problems.append(Problem(path, str(reason)))
            return None
        return document

    def studies(self, path: Path, document: Mapping[str, Any], by_id: Mapping[str, Record]) -> list[Study]:
        """Return the studies of a sweep.json, setting aside what can't be used of them."""
        studies, reasons = read_studies(path.parent.name, document, by_id)
        self.problems += [Problem(path, reason) for reason in reasons]
        return studies

    def records(self, output_dir: Path) -> Iterator[Record]:
        """Yield the record of every run folder, each run id once, in order of folder names."""
        seen: dict[str, str] = {}
        for folder in sorted(path for path in (output_dir / "runs").glob("*") if path.is_dir()):
            try:
                record = _record(folder)
                if record.run_id in seen:
                    raise _SetAside(f"the same run id as {seen[record.run_id]}")
            except _SetAside as reason:
                self.problems.append(Problem(folder / "run.json", str(reason)))
            else:
                seen[record.run_id] = folder.name
                yield record


def _json(path: Path) -> Mapping[str, Any]:
    """Return a JSON object of the known schema version."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _SetAside("the file is missing") from error
    except OSError as error:
        raise _SetAside(f"unreadable: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _SetAside(f"not JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise _SetAside("not a JSON object")
    version = value.get("schema_version")
    if version != SCHEMA_VERSION:
        raise _SetAside(f"schema_version is {version!r}, and {SCHEMA_VERSION} is what can be read here")
    return value


def _record(folder: Path) -> Record:
    raw = _json(folder / "run.json")
    run_id, status = raw.get("run_id"), raw.get("status")
    if not isinstance(run_id, str) or not isinstance(raw.get("config"), Mapping):
        raise _SetAside("it lacks run_id or config")
    if status not in STATUSES:
        raise _SetAside(f"status is {status!r}, none of {', '.join(STATUSES)}")
    if status == "completed" and not isinstance(raw.get("comparability_key"), str):
        raise _SetAside("a completed run without a comparability_key can stand in no table")
    return Record(run_id=run_id, status=status, folder=folder, raw=raw)


def read_all(output_dir: Path) -> Selection:
    """Return every run under `output_dir`/runs, and the studies of all sweeps."""
    reader = _Reader()
    records = list(reader.records(output_dir))
    by_id = {record.run_id: record for record in records}
    studies: list[Study] = []
    for path in sorted((output_dir / "sweeps").glob("*/sweep.json")):
        document = reader.sweep(path)
        studies += reader.studies(path, document, by_id) if document is not None else []
    return Selection(title="all runs", records=records, problems=reader.problems, studies=studies)


def read_sweep(output_dir: Path, name: str) -> Selection:
    """Return the runs of one sweep, in the order of its cells.

    When its sweep.json can't be read, the runs whose config names the sweep stand in. Raises `UserError` for a name
    that no folder under `output_dir`/sweeps has.
    """
    known = sweep_names(output_dir)
    if name not in known:
        listed = f" Known: {', '.join(known)}." if known else f" There is none under {output_dir / 'sweeps'}."
        raise UserError(f"No sweep is called {name!r}.{did_you_mean(name, known)}{listed}")
    reader = _Reader()
    records = list(reader.records(output_dir))
    path = output_dir / "sweeps" / name / "sweep.json"
    document = reader.sweep(path)
    title = f"sweep {name}"
    if document is None:
        named = [record for record in records if record.get("config.sweep.name") == name]
        return Selection(title=title, records=named, problems=reader.problems)
    cells = document["cells"]
    by_id = {record.run_id: record for record in records}
    studies = reader.studies(path, document, by_id)
    chosen: dict[str, Record] = {}
    absent: list[str] = []
    for cell in cells:
        run_id = cell.get("run_id") if isinstance(cell, Mapping) else None
        if isinstance(run_id, str) and run_id in by_id:
            chosen[run_id] = by_id[run_id]
        else:
            absent.append(_cell_in_words(cell))
    problems = [problem for problem in reader.problems if _concerns(problem, path, cells)]
    return Selection(title=title, records=list(chosen.values()), problems=problems, absent=absent, studies=studies)


def sweep_names(output_dir: Path) -> list[str]:
    """Return the names of all sweeps under `output_dir`, sorted."""
    return sorted(path.name for path in (output_dir / "sweeps").glob("*") if path.is_dir())


def _cell_in_words(cell: Any) -> str:
    if not isinstance(cell, Mapping):
        return f"unreadable cell {cell!r}"
    overrides = cell.get("overrides")
    words = " ".join(map(str, overrides)) if isinstance(overrides, list) and overrides else "no overrides"
    return f"{words} (run {cell.get('run_id') or 'without id'}, {cell.get('state') or 'state unknown'})"


def _concerns(problem: Problem, sweep: Path, cells: Sequence[Any]) -> bool:
    """Return whether a file that was set aside is the sweep's own or a run folder that one of its cells names."""
    named = {Path(str(cell.get("folder"))).name for cell in cells if isinstance(cell, Mapping)}
    return problem.path == sweep or problem.path.parent.name in named
