"""`python -m persona_sweeps.cli.worker FILE`: does what a job's file says, in a process of its own.

Its exit code says little; what came of the runs is in their records. It ends with 75 when it was asked to stop: what
was in training is saved then, and the same command goes on from there.
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
    """Do what a job's file says and return the exit code."""
    given = _parser().parse_args(argv)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    job = this_job()
    name_job(job.id if job is not None else None)
    own_job = job if given.with_parent is None else None  # else a launcher in the job has started this process
    with stopping.heard() as stop, watchdog.watching(given.stall_seconds):
        try:
            with stop.at_once():
                if given.with_parent is not None:
                    _stop_with(given.with_parent)
                work(given.file)
        except Stopped as stopped:
            print(f"Stopped by {stopped}; what was in training is saved.", file=sys.stderr, flush=True)
            if own_job is not None:
                own_job.another_turn(str(stopped))
            return EXIT_CODE
        except SystemExit as ended:  # a command's own end, which it has reported
            if ended.code == EXIT_CODE and own_job is not None:
                own_job.another_turn(stop.requested or "")
            raise
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the job's file")
    parser.add_argument("--stall-seconds", type=float, help="end when work stands still for so long")
    parser.add_argument("--with-parent", type=int, help="ask to stop when that process, which started this one, dies")
    return parser


def work(path: Path) -> None:
    """Train what isn't done of a group, or run the command that the file has instead.

    Raises Stopped when asked to stop, UserError when the group can't be read or can't run on this machine.
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
    """Have Linux send TERM when the parent dies; elsewhere a worker outlives it, and its leases say so.

    Raises Stopped when the parent has died already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            stopping.current().ask("SIGTERM")


if __name__ == "__main__":
    sys.exit(main())
