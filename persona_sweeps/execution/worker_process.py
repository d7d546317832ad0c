"""A worker as a child of this process; it is asked to stop when this process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

WORKER = "persona_sweeps.cli.worker"
"""the module that a job runs"""
ROOT = Path(__file__).resolve().parents[2]
"""where Python finds this package"""
PATIENCE = 60.0
"""seconds that a worker has to save what it is training"""


def worker_arguments(job_file: Path, stall_seconds: float | None, parent: int | None = None) -> list[str]:
    """Return the arguments that the worker's command line takes."""
    options = {"--stall-seconds": stall_seconds, "--with-parent": parent}
    return [f"{name}={value}" for name, value in options.items() if value is not None] + [str(job_file)]


def start_worker(
    job_file: Path, log: Path, stall_seconds: float | None, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a worker for a job's file; what it prints is added to `log`. Raises OSError where that fails."""
    environment = {**os.environ, **import_path(), "PYTHONUNBUFFERED": "1", **environment}
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", WORKER, *worker_arguments(job_file, stall_seconds, parent=os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment,
            start_new_session=True,  # a Ctrl-C is the parent's to pass on
        )


def import_path() -> dict[str, str]:
    """Return what a process needs in its environment to import this package: nothing where it is installed."""
    if Path(sysconfig.get_path("purelib")) == ROOT:
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))}


def describe_exit(code: int) -> str:
    """Return a process's exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    names = {int(number): number.name for number in signal.Signals}
    return f"killed by {names.get(-code, f'signal {-code}')}"
