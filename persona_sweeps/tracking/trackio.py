"""`tracker=trackio`: Trackio, a local dashboard of Hugging Face, with a Trackio run for each run, grouped by sweep."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from persona_sweeps.tracking.tracker import SAMPLE_COLUMNS, Tracker, sample_row

if TYPE_CHECKING:
    import trackio

    from persona_sweeps.tracking.entries import RunEntry, TableEntry

Returned = TypeVar("Returned")


@dataclass
class Trackio(Tracker):
    """Writes runs to Trackio's store on this machine (TRACKIO_DIR)."""

    project: str = "persona-sweeps"

    name: ClassVar[str] = "trackio"
    package: ClassVar[str] = "trackio"

    def target(self, output_dir: Path) -> str:
        from trackio.utils import TRACKIO_DIR

        return f"{TRACKIO_DIR} {self.project}"

    def session(self, output_dir: Path, sweep: str) -> TrackioSession:
        return TrackioSession(self.project, sweep)


class TrackioSession:
    """Trackio at work: what an earlier attempt wrote of a run is replaced by what its records have."""

    live = True

    def __init__(self, project: str, sweep: str) -> None:
        self._project, self._sweep = project, sweep
        self._shown = False

    def open(self, entry: RunEntry) -> TrackioRun:
        self._shown = True
        config = {**entry.config, "job_type": entry.job_type, "tags": list(entry.tags)}
        return TrackioRun(self._init(f"{entry.name}-{entry.id}", config), entry)

    def show_tables(self, tables: Sequence[TableEntry]) -> None:
        run = self._init(f"{self._sweep}-tables", {"job_type": "tables"})
        for table in tables:
            run.log({f"tables/{table.name}": _table(table.columns, table.rows)})
        _quietly(run.finish)

    def close(self) -> Sequence[str]:
        import trackio

        with contextlib.suppress(RuntimeError):  # else it would finish, and print so, when the process ends
            _quietly(trackio.finish)
        return [f"Trackio: `trackio show --project {self._project}` shows the runs."] if self._shown else []

    def _init(self, name: str, config: Mapping[str, object]) -> trackio.Run:
        """Return a new run of this name, in place of one that is there."""
        import trackio

        with contextlib.suppress(ValueError):  # there is no such project yet
            for run in trackio.Api().runs(self._project):
                if run.name == name:
                    run.delete()
        return _quietly(
            lambda: trackio.init(
                self._project,
                name=name,
                group=self._sweep,
                config=dict(config),
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        )


class TrackioRun:
    """An open Trackio run."""

    points = 0

    def __init__(self, run: trackio.Run, entry: RunEntry) -> None:
        self.id = entry.id
        self._run = run
        self._step = 0

    def log(self, index: int, point: Mapping[str, float]) -> None:
        self._step = int(point["step"])
        self._run.log({key: value for key, value in point.items() if key != "step"}, step=self._step)

    def finish(self, entry: RunEntry) -> None:
        shown: dict[str, object] = {f"final/{key}": value for key, value in entry.metrics.items()}
        if rows := [sample_row(sample) for sample in entry.samples()]:
            shown["samples"] = _table(SAMPLE_COLUMNS, rows)
        facts = {key: value for key, value in entry.facts.items() if key in ("status", "reason")}
        self._run.log({**shown, **facts}, step=self._step)
        _quietly(self._run.finish)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> trackio.Table:
    import trackio

    return trackio.Table(columns=list(columns), data=[list(row) for row in rows])


def _quietly(call: Callable[[], Returned]) -> Returned:
    """Call without what the client prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return call()
