"""A machine to be pulled: run one daemon, and end it with everything it ever started once standard input closes.

    python machine.py LOG COMMAND …

SLURM's daemons start their jobs as orphans that no one waits for. A machine adopts every orphan below it (Linux:
`PR_SET_CHILD_SUBREAPER`), so that the tree below it is all there is of its daemon and its jobs. The tree is killed and
waited for when standard input closes, which is also what happens when the process that held the other end dies, however
it dies; or when the daemon ends by itself. It imports nothing but the standard library, to start in a moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


def main(log: str, *command: str) -> int:
    """Run `command` with its output in the file `log`; return its exit code, or 0 when the machine was pulled."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    owner = os.getppid()
    with open(log, "ab") as out:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    code = 0
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        ended = _reap()
        if daemon.pid in ended:
            code = os.waitstatus_to_exitcode(ended[daemon.pid])
            break
    _kill_all()
    # Nobody is left to remove the cluster's folder when its owner was killed; the last machine to end finds it quiet.
    if os.getppid() != owner:
        shutil.rmtree(Path(log).parents[1], ignore_errors=True)
    return code


def descendants(root: int) -> list[int]:
    """Return the ids of all processes below `root`, from /proc."""
    children = defaultdict(list)
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as stat:
                # The command's name, in parentheses, may hold anything; state and parent follow the last of them.
                children[int(stat.read().rpartition(")")[2].split()[1])].append(int(entry))
    found = [root]
    for process in found:
        found += children[process]
    return found[1:]


def _reap() -> dict[int, int]:
    """Collect the children that have ended: wait status by process id."""
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while (child := os.waitpid(-1, os.WNOHANG))[0]:
            ended[child[0]] = child[1]
    return ended


def _kill_all() -> None:
    """Kill everything below, again and again: what a killed process leaves behind becomes a child of this one."""
    while below := descendants(os.getpid()):
        for process in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        _reap()
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
