"""The results that a command is about: all runs, or those of a sweep, with all that has to be reported beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persona_sweeps.errors import UserError, did_you_mean

from .files import Problem, SetAside, read_record
from .results import RunResult, Runs, read_runs
from .studies import Study, read_studies


@dataclass(frozen=True)
class Selection:
    """Results in order.

    `absent` has, for each cell of a sweep without a run record, what the sweep says of it; `problems` the files that
    were set aside.
    """

    title: str
    results: Sequence[RunResult]
    problems: Sequence[Problem] = ()
    absent: Sequence[str] = ()
    studies: Sequence[Study] = ()

    def scored(self) -> list[RunResult]:
        """Return the results that can stand in a ranking."""
        return [result for result in self.results if result.is_scored]

    def runs(self) -> list[RunResult]:
        """Return a result of each run, the first."""
        return list({result.run_id: result for result in reversed(self.results)}.values())[::-1]

    @property
    def is_empty(self) -> bool:
        return not (self.results or self.problems or self.absent)


def read_all(output_dir: Path) -> Selection:
    """Return every result under `output_dir`/runs, and the studies of all sweeps."""
    problems: list[Problem] = []
    runs = read_runs(output_dir, problems)
    studies: list[Study] = []
    for path in sorted((output_dir / "sweeps").glob("*/sweep.json")):
        document = _sweep(path, problems)
        studies += _studies(path, document, runs, problems) if document is not None else []
    results = [result for run in runs.values() for result in run.results()]
    return Selection("all runs", results, problems, studies=studies)


def read_sweep(output_dir: Path, name: str) -> Selection:
    """Return the results of one sweep, in the order of its cells: the very evaluations that they name.

    When its sweep.json can't be read, the runs whose config names the sweep stand in. Raises `UserError` for a name
    that no folder under `output_dir`/sweeps has.
    """
    known = sweep_names(output_dir)
    if name not in known:
        listed = f" Known: {', '.join(known)}." if known else f" There is none under {output_dir / 'sweeps'}."
        raise UserError(f"No sweep is called {name!r}.{did_you_mean(name, known)}{listed}")
    problems: list[Problem] = []
    runs = read_runs(output_dir, problems)
    path, title = output_dir / "sweeps" / name / "sweep.json", f"sweep {name}"
    document = _sweep(path, problems)
    if document is None:
        named = [result for run in runs.values() for result in run.results() if _names(result, name)]
        return Selection(title, named, problems)
    chosen: dict[tuple[str, str | None], RunResult] = {}
    absent: list[str] = []
    for cell in document["cells"]:
        found = of_cell(cell, runs)
        chosen |= {(result.run_id, result.evaluation_id): result for result in found}
        absent += [] if found else [_describe(cell)]
    studies = _studies(path, document, runs, problems)
    concerned = [problem for problem in problems if _concerns(problem, path, document["cells"])]
    return Selection(title, list(chosen.values()), concerned, absent, studies)


def sweep_names(output_dir: Path) -> list[str]:
    """Return the names of all sweeps under `output_dir`, sorted."""
    return sorted(path.name for path in (output_dir / "sweeps").glob("*") if path.is_dir())


def of_cell(cell: Any, runs: Runs) -> list[RunResult]:
    """Return the results that a cell of a sweep names; none without a run record."""
    run_id = cell.get("run_id") if isinstance(cell, Mapping) else None
    run = runs.get(run_id) if isinstance(run_id, str) else None
    return [] if run is None else run.find(cell.get("evaluation_id"))


def _sweep(path: Path, problems: list[Problem]) -> Mapping[str, Any] | None:
    """Return a sweep.json, which has a list of cells; None after setting it aside."""
    try:
        document = read_record(path)
        if not isinstance(document.get("cells"), list):
            raise SetAside("it has no list of cells")
    except SetAside as reason:
        problems.append(Problem(path, str(reason)))
        return None
    return document


def _studies(path: Path, document: Mapping[str, Any], runs: Runs, problems: list[Problem]) -> list[Study]:
    """Return the studies of a sweep.json, setting aside what can't be used of them."""
    studies, reasons = read_studies(path.parent.name, document, runs)
    problems += [Problem(path, reason) for reason in reasons]
    return studies


def _names(result: RunResult, sweep: str) -> bool:
    return result.get("config.sweep.name") == sweep


def _describe(cell: Any) -> str:
    if not isinstance(cell, Mapping):
        return f"unreadable cell {cell!r}"
    overrides = cell.get("overrides")
    words = " ".join(map(str, overrides)) if isinstance(overrides, list) and overrides else "no overrides"
    return f"{words} (run {cell.get('run_id') or 'without id'}, {cell.get('state') or 'state unknown'})"


def _concerns(problem: Problem, sweep: Path, cells: Sequence[Any]) -> bool:
    """Return whether a file that was set aside is the sweep's own, or in a run folder that one of its cells names."""
    named = {Path(str(cell.get("folder"))).name for cell in cells if isinstance(cell, Mapping)}
    return problem.path == sweep or not named.isdisjoint(part.name for part in problem.path.parents)
