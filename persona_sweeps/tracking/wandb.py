"""`tracker=wandb`: Weights & Biases, with one W&B run for each run, grouped by sweep."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from persona_sweeps.config.checks import one_of
from persona_sweeps.tracking.tracker import SAMPLE_COLUMNS, Tracker, sample_row
from persona_sweeps.tracking.wandb_mode import choose_mode, give_up

if TYPE_CHECKING:
    import wandb

    from persona_sweeps.config.schema import RunConfig

MODES = ("online", "offline", "disabled")
INIT_SECONDS = 30
"""how long a run waits for the server when it starts"""
FINISH_SECONDS = 60
"""how long a finished run uploads; what is left stays on disk, for `wandb sync`"""

_log = logging.getLogger(__name__)


@dataclass
class Wandb(Tracker):
    """Makes a W&B run for each run, with the same id, grouped by sweep."""

    project: str = MISSING
    entity: str | None = None
    mode: str | None = None
    tags: list[str] = field(default_factory=list)

    package = "wandb"

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        if self.mode is not None:
            yield from one_of("tracker.mode", self.mode, MODES)

    def start(self, resolved: Mapping[str, Any], folder: Path, run_id: str, name: str, sweep: str) -> WandbRun:
        """Start a W&B run. Raises OSError if the folder can't be made, and W&B's own errors."""
        import wandb

        # Without the folder, W&B would silently use the system's temporary folder.
        folder.mkdir(parents=True, exist_ok=True)
        mode = choose_mode(self.mode)
        try:
            run = wandb.init(
                project=self.project,
                entity=self.entity,
                group=sweep,
                name=name,
                id=run_id,
                config=dict(resolved),
                tags=list(self.tags),
                dir=str(folder),
                mode=mode,  # type: ignore[arg-type]
                # A relaunched run keeps its id; offline, W&B can't check that and would warn.
                resume="allow" if mode == "online" else None,
                reinit="create_new",
                settings=_settings(),
            )
        except wandb.Error as error:
            if mode == "online":
                give_up(f"an earlier run couldn't start ({type(error).__name__})")
            raise
        if mode == "online":
            _announce(run.project_url)
        return WandbRun(run)


class WandbRun:
    """A live W&B run whose curves are drawn over `step`."""

    def __init__(self, run: wandb.Run) -> None:
        self._run = run
        # Use a metric, not W&B's step counter: the counter rejects a step that isn't greater than the last one.
        run.define_metric("step", hidden=True)
        run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **values})

    def finish(self, status: str, summary: Mapping[str, float], samples: Sequence[Mapping[str, Any]]) -> None:
        try:
            if samples:
                self._run.log({"samples": _table(samples)})
            self._run.summary.update({"status": status, **summary})
        finally:
            # W&B has two final states only, and a pruned run is no failure; the summary holds the exact status.
            self._run.finish(exit_code=1 if status == "failed" else 0)


def _table(samples: Sequence[Mapping[str, Any]]) -> wandb.Table:
    import wandb

    return wandb.Table(columns=list(SAMPLE_COLUMNS), data=[sample_row(sample) for sample in samples])


def _settings() -> wandb.Settings:
    """Return settings that keep the console free for the sweep, and send as little about the machine as possible."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
    )


@cache
def _announce(project_url: str | None) -> None:
    """Log, once a project, where its runs appear."""
    _log.info("W&B: runs appear at %s", project_url)
