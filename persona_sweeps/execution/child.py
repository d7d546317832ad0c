"""A worker as a child of this process, which asks it to stop when it dies itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from persona_sweeps.cli.worker import options

WORKER = "persona_sweeps.cli.worker"
ROOT = Path(__file__).resolve().parents[2]
"""where Python finds this package"""
PATIENCE = 60.0
"""seconds that a worker has to save what it is training"""


def start_worker(
    group: Path, log: Path, stall_seconds: float | None, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a worker for a group file; what it prints is added to `log`. Raises OSError where that fails."""
    environment = {**os.environ, **where_to_import_from(), "PYTHONUNBUFFERED": "1", **environment}
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", WORKER, *options(group, stall_seconds, parent=os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment,
            start_new_session=True,  # a Ctrl-C is the parent's to pass on
        )


def where_to_import_from() -> dict[str, str]:
    """Return what a process needs in its environment to import this package: nothing where it's installed."""
    if Path(sysconfig.get_path("purelib")) == ROOT:
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))}


def how_it_ended(code: int) -> str:
    """Return a process's exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    names = {int(known): known.name for known in signal.Signals}
    return f"killed by {names.get(-code, f'signal {-code}')}"
