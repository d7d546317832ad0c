"""`python -m persona_sweeps.jobs.worker GROUP`: trains the runs of a group file, in a process of its own.

Its exit code says little; what came of the runs is in their records. It ends with 75 when it was asked to stop: what
was in training is saved then, and the same command goes on from there.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from persona_sweeps import stopping
from persona_sweeps.errors import UserError
from persona_sweeps.stopping import EXIT_CODE, Stopped

WITH_PARENT = "--with-parent"
"""ask to stop when the process that started this one dies"""
SET_PDEATHSIG = 1
OUT_OF_TIME = ("SIGUSR1", "SIGUSR2")
"""what SLURM sends ahead of the time limit. TERM comes before a preemption, after which it puts the job into the queue
again itself, and when a person cancels the job, which then isn't to come back."""


def main(argv: Sequence[str] | None = None) -> int:
    """Train a group and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with stopping.heard():
        if WITH_PARENT in arguments:
            arguments.remove(WITH_PARENT)
            _stop_with_parent()
        try:
            work(Path(arguments[0]))
        except Stopped as stopped:
            print(f"Stopped by {stopped}; what was in training is saved.", file=sys.stderr, flush=True)
            if str(stopped) in OUT_OF_TIME:
                _ask_slurm_for_another_turn()
            return EXIT_CODE
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return 1
    return 0


def work(path: Path) -> None:
    """Train what isn't done of a group. Raises Stopped when asked to stop, UserError when the group can't be read."""
    from persona_sweeps.console import Console
    from persona_sweeps.context import Context
    from persona_sweeps.execute import train
    from persona_sweeps.jobs.group_file import read_group
    from persona_sweeps.plan import Plan

    cells = [cell for cell in read_group(path) if not cell.done]
    if cells:
        train(Plan(cells, [cells]), Context.of(Console()))


def _stop_with_parent() -> None:
    """Have Linux send TERM when the parent dies; elsewhere a worker outlives it, and its leases say so."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(SET_PDEATHSIG, signal.SIGTERM)


def _ask_slurm_for_another_turn() -> None:
    """Put the job back into the queue: it goes on later, from the checkpoints, whether anyone watches or not."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is not None:
        subprocess.run(["scontrol", "requeue", job], check=False, timeout=60)


if __name__ == "__main__":
    sys.exit(main())
