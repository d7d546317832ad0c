"""Experiment trackers: each is a kind, whose package is imported only when it is used.

    run = tracking.start(config, resolved, folder, run_id, name)
    run.log(step, {"train_nll": 2.1})
    run.finish("completed", {"completion_ppl": 8.4}, samples)

Many runs may be tracked at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_sweeps.tracking.guard import GuardedRun
from persona_sweeps.tracking.tracker import TrackedRun

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig


def start(config: RunConfig, resolved: Mapping[str, Any], folder: Path, run_id: str, name: str) -> TrackedRun:
    """Start to track a run; no call of the result raises.

    `resolved` is the resolved config as plain containers, without secrets; `folder` is the run's folder. If the tracker
    can't be started, a warning says so once, and nothing is tracked.
    """
    tracker, sweep = config.tracker, config.sweep.name
    return GuardedRun(tracker.kind, run_id, lambda: tracker.start(resolved, folder, run_id, name, sweep))
