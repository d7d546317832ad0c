"""Where a plan is carried out: in this process, in worker processes, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from persona_sweeps.console import Console
from persona_sweeps.device import Machine
from persona_sweeps.plan import Plan
from persona_sweeps.preflight import Prediction

Predictions = dict[str, Prediction]
"""by run id"""


@dataclass(frozen=True)
class Place:
    """How a plan is carried out, and on what machine."""

    run: Callable[[Plan, Predictions, Path, Console], None]
    """takes the sweep's folder too; raises Stopped when the process is asked to stop"""
    machine: Machine | None = None
    """what a job gets; None: this machine, all of it"""


def _here(plan: Plan, predictions: Predictions, folder: Path, console: Console) -> None:
    from persona_sweeps.context import Context
    from persona_sweeps.execute import train

    train(plan, Context.of(console))


HERE = Place(_here)
"""this process: trials of one base model share one pass"""
