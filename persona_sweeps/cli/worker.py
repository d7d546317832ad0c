"""`python -m persona_sweeps.cli.worker FILE`: carry out a job's file in its own process.

The results are in the runs' records, not in the exit code. The exit code is 75 if the process was asked to stop: what
was in training is then saved, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.errors import UserError
from persona_sweeps.execution.cluster_job import this_job
from persona_sweeps.lifecycle import stopping, watchdog
from persona_sweeps.lifecycle.lease import name_job
from persona_sweeps.lifecycle.stopping import EXIT_CODE, Stopped

SET_PDEATHSIG = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a job's file, and return the exit code."""
    options = _parser().parse_args(argv)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    job = this_job()
    name_job(job.id if job is not None else None)
    # With a parent, this process was started by a launcher inside the job, and isn't the job itself.
    own_job = job if options.with_parent is None else None
    with stopping.heard() as stop, watchdog.watching(options.stall_seconds):
        try:
            with stop.at_once():
                if options.with_parent is not None:
                    _stop_with(options.with_parent)
                work(options.file)
        except Stopped as stopped:
            print(f"Stopped by {stopped}; what was in training is saved.", file=sys.stderr, flush=True)
            if own_job is not None:
                own_job.another_turn(str(stopped))
            return EXIT_CODE
        except SystemExit as finished:  # of a command, which has reported the reason
            if finished.code == EXIT_CODE and own_job is not None:
                own_job.another_turn(stop.requested or "")
            raise
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the job's file")
    parser.add_argument("--stall-seconds", type=float, help="end when work makes no progress for so long")
    parser.add_argument("--with-parent", type=int, help="stop when the process with this id, the parent, dies")
    return parser


def work(path: Path) -> None:
    """Carry out the unfinished cells of a job file's group, or the command in the file.

    Raises Stopped if asked to stop, UserError if the group can't be read or can't run on this machine.
    """
    from persona_sweeps.cli.launch import main as command
    from persona_sweeps.execution.in_process import carry_out
    from persona_sweeps.execution.job_file import read_command, read_group
    from persona_sweeps.planning.console import Console
    from persona_sweeps.planning.plan import Plan
    from persona_sweeps.planning.review import refuse_blocked
    from persona_sweeps.running.context import Context

    if (arguments := read_command(path)) is not None:
        sys.argv = ["launch.py", *arguments]
        command()
        return

    cells = [cell for cell in read_group(path) if not cell.done]
    refuse_blocked(cells)
    if cells:
        carry_out(Plan(cells, [cells]), Context.of(Console()))


def _stop_with(parent: int) -> None:
    """Make Linux send TERM when the parent dies; on other systems a worker outlives it, and keeps its leases.

    Raises Stopped if the parent has died already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            stopping.current().ask("SIGTERM")


if __name__ == "__main__":
    sys.exit(main())
