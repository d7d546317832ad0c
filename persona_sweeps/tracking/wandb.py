"""`tracker=wandb`: Weights & Biases, with one W&B run for each run, grouped by sweep."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from persona_sweeps.config.checks import one_of
from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.tracking.tracker import SAMPLE_COLUMNS, Tracker, Unreachable, sample_row
from persona_sweeps.tracking.wandb_mode import base_url, choose_mode

if TYPE_CHECKING:
    import wandb

    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.tracking.entries import RunEntry, TableEntry

MODES = ("online", "offline", "disabled")
INIT_SECONDS = 30
"""how long a run waits for the server when it starts"""
FINISH_SECONDS = 60
"""how long a finished run uploads; what is left stays on disk, for `wandb sync`"""
NAMES = 9
"""how many ids are tried for a run whose id W&B refuses"""
_BEST = re.compile(r"(^|_)(nll|loss)$")
"""curves that have a best value, which is the least"""


@dataclass
class Wandb(Tracker):
    """Makes a W&B run for each run, with the same id, grouped by sweep."""

    project: str = "persona-sweeps"
    entity: str | None = None
    mode: str | None = None
    tags: list[str] = field(default_factory=list)
    adapters: bool = True

    name: ClassVar[str] = "wandb"
    package: ClassVar[str] = "wandb"

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        if self.mode is not None:
            yield from one_of("tracker.wandb.mode", self.mode, MODES)

    def target(self, output_dir: Path) -> str:
        """Return the project and where it is; what is kept offline is at another target than the server."""
        mode, _ = choose_mode(self.mode)
        return f"{mode} {base_url() if mode == 'online' else ''} {self.entity} {self.project}"

    def session(self, output_dir: Path, sweep: str) -> WandbSession:
        return WandbSession(self, output_dir, sweep)


class WandbSession:
    """W&B at work. Offline runs are written as they end: nobody sees them before `wandb sync`."""

    def __init__(self, tracker: Wandb, output_dir: Path, sweep: str) -> None:
        self._mode, self._why = choose_mode(tracker.mode)
        self._tracker, self._sweep = tracker, sweep
        self._files = SweepFolder.of(output_dir, sweep).path / "tracking"
        self._folders: list[Path] = []
        self._notes: list[str] = []
        self._url: str | None = None
        self.live = self._mode == "online"

    def open(self, entry: RunEntry) -> WandbRun:
        """Start a W&B run, or go on with one. Raises OSError if its folder can't be made, and W&B's own errors."""
        run = self._init(
            entry.id, entry.files, name=entry.name, job_type=entry.job_type, tags=[*self._tracker.tags, *entry.tags],
            config=dict(entry.config),
        )  # fmt: skip
        return WandbRun(run, self.live, self._tracker.adapters, self._notes.append)

    def show_tables(self, tables: Sequence[TableEntry]) -> None:
        """Show a sweep's tables in a run of their own, whose id is the sweep's name."""
        import wandb

        name = f"sweep-{re.sub(r'[^A-Za-z0-9_.-]', '-', self._sweep)}"
        run = self._init(
            name, self._files / "tables", name=f"{self._sweep} tables", job_type="tables", tags=list(self._tracker.tags)
        )
        try:
            for table in tables:
                rows = [list(row) for row in table.rows]
                shown = wandb.Table(columns=list(table.columns), data=rows, allow_mixed_types=True)
                run.log({f"tables/{table.name}": shown})
        finally:
            run.finish()

    def close(self) -> Sequence[str]:
        """Return where the runs are, and what couldn't be shown of them."""
        notes = list(dict.fromkeys(self._notes))
        if self._url is not None:
            return [*notes, f"W&B: {self._url}"]
        if self._mode != "offline" or not self._folders:
            return notes
        why = f"{self._why}, so runs" if self._why else "runs"
        return [f"W&B: {why} are kept offline; `wandb sync {_common(self._folders)}` uploads them."]

    def _init(self, run_id: str, folder: Path, **shown: Any) -> wandb.Run:
        """Return a started run; one whose id was deleted there gets `<id>-2`, and so on."""
        import wandb

        # Without the folder, W&B would silently use the system's temporary folder.
        folder.mkdir(parents=True, exist_ok=True)
        if not self.live:
            for part in (folder / "wandb").glob(f"offline-run-*-{run_id}"):  # it is written anew, as a whole
                shutil.rmtree(part)
        for number in range(1, NAMES + 1):
            name = run_id if number == 1 else f"{run_id}-{number}"
            try:
                run = wandb.init(
                    project=self._tracker.project,
                    entity=self._tracker.entity,
                    group=self._sweep,
                    id=name,
                    dir=str(folder),
                    mode=self._mode,  # type: ignore[arg-type]
                    # Offline, W&B can't check whether a run is there, and would warn.
                    resume="allow" if self.live else None,
                    reinit="create_new",
                    settings=_settings(),
                    **shown,
                )
            except wandb.Error as error:
                if number < NAMES and was_deleted(error):
                    continue
                if isinstance(error, wandb.errors.CommError):
                    raise Unreachable(str(error)) from error
                raise
            self._url = run.project_url if self.live else None
            self._folders.append(folder / "wandb")
            return run
        raise AssertionError("a run is started, or an error raised")


class WandbRun:
    """An open W&B run whose curves are drawn over `step`."""

    def __init__(self, run: wandb.Run, online: bool, adapters: bool, note: Callable[[str], None]) -> None:
        self._run, self._online, self._adapters, self._note = run, online, adapters, note
        self.id = str(run.id)
        # W&B's own counter is the index in the history: what is there already isn't sent again.
        self.points = run.starting_step if run.resumed else 0
        self._defined: set[str] = set()
        run.define_metric("step", hidden=True)

    def log(self, index: int, point: Mapping[str, float]) -> None:
        for key in point:
            if key != "step" and key not in self._defined:
                self._defined.add(key)
                summary = "min,last" if _BEST.search(key) else "last"
                self._run.define_metric(key, step_metric="step", summary=summary)
        self._run.log(dict(point), step=index, commit=True)

    def finish(self, entry: RunEntry) -> None:
        run = self._run
        try:
            run.config.update(dict(entry.config), allow_val_change=True)
            run.name, run.tags = entry.name, tuple(dict.fromkeys((*(run.tags or ()), *entry.tags)))
            if samples := entry.samples():
                run.log({"samples": _table([sample_row(sample) for sample in samples], SAMPLE_COLUMNS)})
            run.summary.update({**entry.facts, **entry.metrics})
            self._log_artifacts(entry)
            if entry.status == "interrupted":
                run.mark_preempting()
        finally:
            # W&B has no state of a pruned run, which is no failure; the summary holds the exact status.
            run.finish(exit_code=1 if entry.status in ("failed", "interrupted") else 0)

    def _log_artifacts(self, entry: RunEntry) -> None:
        """Log the adapter, and the data by its fingerprint as what it was made of."""
        import wandb

        provenance = entry.config["provenance"]
        if self._online and provenance.get("data_fingerprint"):  # offline, W&B can't use an artifact
            used = wandb.Artifact(f"data-{provenance['data_fingerprint'][:16]}", "dataset", metadata=_data(entry))
            with used.new_file("data.json") as file:
                json.dump(_data(entry), file, indent=1, default=str)
            try:
                self._run.use_artifact(used)
            except Exception as error:  # a run is worth more than the line from its data to it
                text = " ".join(f"{type(error).__name__}: {error}".split())
                self._note(f"W&B: what runs were trained on isn't linked to them ({text}).")
        if self._adapters and entry.job_type in ("train", "final") and entry.folder.adapter.is_dir():
            facts = {"run_id": entry.config["run_id"], **provenance, **entry.metrics}
            made = wandb.Artifact(f"adapter-{entry.config['run_id']}", "model", metadata=facts)
            made.add_dir(str(entry.folder.adapter))
            self._run.log_artifact(made)


def _data(entry: RunEntry) -> dict[str, Any]:
    """Return what was trained on, without any of it."""
    return {
        "dataset": entry.config.get("dataset"),
        "counts": entry.config.get("data"),
        "fingerprint": entry.config["provenance"]["data_fingerprint"],
    }


def _table(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> wandb.Table:
    import wandb

    return wandb.Table(columns=list(columns), data=[list(row) for row in rows])


def was_deleted(error: Exception) -> bool:
    """Whether W&B refuses an id because a run of this id was deleted."""
    return "deleted" in str(error)


def _common(folders: Sequence[Path]) -> str:
    """Return a pattern of all runs in these folders, as short as can be."""
    roots = {str(folder.parent.parent) for folder in folders}
    return " ".join(f"{root}/*/wandb/offline-run-*" for root in sorted(roots))


def _settings() -> wandb.Settings:
    """Return settings that keep the console free for the sweep, and send as little about the machine as possible.

    The machine is the one on which records are read, and may not be the one that trained.
    """
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,  # reading the metadata of all packages takes 0.3 CPU seconds a run
    )
