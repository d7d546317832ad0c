"""Where a plan is carried out: in this process, in worker processes, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.device import Machine
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.plan import Plan
from persona_sweeps.planning.preflight import Prediction
from persona_sweeps.records.folders import SweepFolder

if TYPE_CHECKING:
    from persona_sweeps.execution.backend import Backend

Predictions = dict[str, Prediction]
"""by run id"""


@dataclass(frozen=True)
class Place:
    """How a plan is carried out, and on what machine."""

    machine: Machine | None = None
    """what a job gets; None: this machine, all of it"""
    backend: Callable[[Path, Predictions], Backend] | None = None
    """makes what starts jobs, given a folder for what they print; None: all is done in this process"""
    max_retries: int = 0
    poll_seconds: float = 1.0
    search_path: Sequence[str] = ()
    """folders of configs beside the project's own, which jobs need too"""

    def run(self, plan: Plan, predictions: Predictions, files: SweepFolder, console: Console) -> None:
        """Carry out a plan; `files` are the sweep's. Raises Stopped when the process is asked to stop."""
        if self.backend is None:
            from persona_sweeps.execution.execute import train
            from persona_sweeps.running.context import Context

            train(plan, Context.of(console))
            return
        from persona_sweeps.execution.supervisor import Supervisor

        backend = self.backend(files.job_logs, predictions)
        Supervisor(backend, files, console, self.max_retries, self.poll_seconds, self.search_path).run(plan)


HERE = Place()
"""this process: trials of one base model share one pass"""
