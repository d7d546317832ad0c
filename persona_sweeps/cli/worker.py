"""`python -m persona_sweeps.cli.worker GROUP`: trains the runs of a group file, in a process of its own.

Its exit code says little; what came of the runs is in their records. It ends with 75 when it was asked to stop: what
was in training is saved then, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.errors import UserError
from persona_sweeps.lifecycle import stopping, watchdog
from persona_sweeps.lifecycle.stopping import EXIT_CODE, Stopped

SET_PDEATHSIG = 1
OUT_OF_TIME = ("SIGUSR1", "SIGUSR2")
"""what SLURM sends ahead of the time limit and, where it is set up so, of a preemption"""
SLURM_SECONDS = 60


def options(path: Path, stall_seconds: float | None, parent: int | None = None) -> list[str]:
    """Return the arguments that `main` takes."""
    given = {"--stall-seconds": stall_seconds, "--with-parent": parent}
    return [f"{name}={value}" for name, value in given.items() if value is not None] + [str(path)]


def main(argv: Sequence[str] | None = None) -> int:
    """Train a group and return the exit code."""
    given = _parser().parse_args(argv)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with stopping.heard() as stop, watchdog.watching(given.stall_seconds):
        try:
            with stop.at_once():
                if given.with_parent is not None:
                    _stop_with(given.with_parent)
                work(given.group)
        except Stopped as stopped:
            print(f"Stopped by {stopped}; what was in training is saved.", file=sys.stderr, flush=True)
            if given.with_parent is None:
                _ask_for_another_turn(str(stopped))
            return EXIT_CODE
        except SystemExit as ended:  # a command's own end, told already
            if ended.code == EXIT_CODE and given.with_parent is None:
                _ask_for_another_turn(stop.requested or "")
            raise
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", type=Path, help="the group file")
    parser.add_argument("--stall-seconds", type=float, help="end when work stands still for so long")
    parser.add_argument("--with-parent", type=int, help="ask to stop when that process, which started this one, dies")
    return parser


def work(path: Path) -> None:
    """Train what isn't done of a group, or give the command that the file has instead.

    Raises Stopped when asked to stop, UserError when the group can't be read.
    """
    from persona_sweeps.cli.launch import main as command
    from persona_sweeps.execution.execute import train
    from persona_sweeps.execution.job_file import read_command, read_group
    from persona_sweeps.planning.console import Console
    from persona_sweeps.planning.plan import Plan
    from persona_sweeps.running.context import Context

    if (arguments := read_command(path)) is not None:
        sys.argv = ["launch.py", *arguments]
        command()
        return

    cells = [cell for cell in read_group(path) if not cell.done]
    if cells:
        train(Plan(cells, [cells]), Context.of(Console()))


def _stop_with(parent: int) -> None:
    """Have Linux send TERM when the parent dies; elsewhere a worker outlives it, and its leases say so.

    Raises Stopped when the parent has died already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            stopping.current().ask("SIGTERM")


def _ask_for_another_turn(name: str) -> None:
    """Put a SLURM job back into the queue: it goes on later, from the checkpoints, whether anyone watches or not.

    A job that ends on a warning isn't put there by SLURM. TERM may also mean that a person has cancelled the job, which
    then isn't to come back: its state says so.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is not None and (name in OUT_OF_TIME or "JobState=RUNNING" in _slurm("show", "job", job)):
        _slurm("requeue", job)


def _slurm(*arguments: str) -> str:
    """Return what scontrol prints; nothing where it fails, since whoever watches the job gives it again then."""
    try:
        done = subprocess.run(["scontrol", *arguments], capture_output=True, text=True, timeout=SLURM_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
