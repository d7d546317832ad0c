"""Experiment trackers: one module a kind, imported only when that kind is asked for.

    tracker = tracking.start(config, resolved, folder, run_id, name)
    tracker.log(step, {"train_nll": 2.1})
    tracker.finish("completed", {"completion_ppl": 8.4}, samples)

Each trial has its own tracker, and many may be live at the same time. To add a kind, write a module with `check` and
`start` and name it in `KINDS`, with its option under conf/tracker and its schema in `persona_sweeps.config.schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from persona_sweeps.config.schema import RunConfig, TrackerConfig
from persona_sweeps.errors import ConfigError, did_you_mean
from persona_sweeps.tracking.guard import Guarded
from persona_sweeps.tracking.tracker import Tracker

KINDS: dict[str, str] = {
    "none": "persona_sweeps.tracking.none",
    "tensorboard": "persona_sweeps.tracking.tensorboard",
    "wandb": "persona_sweeps.tracking.wandb",
}
"""Module of each `tracker.kind`."""

__all__ = ["KINDS", "Tracker", "check", "start"]


def check(config: TrackerConfig) -> None:
    """Refuse a tracker that can't work: an unknown kind, a missing package, a bad setting; imports nothing heavy.

    Raises `ConfigError`.
    """
    _module(config.kind).check(config)


def start(config: RunConfig, resolved: Mapping[str, Any], folder: Path, run_id: str, name: str) -> Tracker:
    """Begin tracking one run and return its tracker, none of whose calls can raise.

    `resolved` is the resolved config as plain containers, with secrets already taken out; `folder` is the run's own.
    When the tracker can't be started, that is told once and a tracker that does nothing comes back. Raises
    `ConfigError` for an unknown kind only.
    """
    module = _module(config.tracker.kind)
    return Guarded(config.tracker.kind, run_id, lambda: module.start(config, resolved, folder, run_id, name))


def _module(kind: str) -> ModuleType:
    if kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise ConfigError(f"tracker.kind={kind} is unknown: choose one of {known}.{did_you_mean(kind, KINDS)}")
    return import_module(KINDS[kind])
