"""Commands as processes that can be hit. Forked from a server that has imported what takes long, they begin at once."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["persona_sweeps.cli.launch", "persona_sweeps.execution.hydra_jobs", "persona_sweeps.running.group",
     "persona_sweeps.training.engine", "persona_sweeps.training.checkpoint", "persona_sweeps.methods.export",
     "persona_sweeps.models.loading", "persona_sweeps.data.store", "persona_sweeps.metrics.overlap",
     "datasets", "sacrebleu", "rouge_score"]
)  # fmt: skip
PATIENCE = 280.0
"""seconds that a condition may take on a machine that others load"""


class Command:
    """A command in a process of its own; what it prints is added to `command.log` in its folder."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        before: Callable[[], None] = dict,
    ) -> None:
        """`before` is called in the new process, before the command."""
        self.folder = folder
        self.log = folder / "command.log"
        folder.mkdir(parents=True, exist_ok=True)
        self.printed_before = self.log.stat().st_size if self.log.exists() else 0
        given = (list(arguments), str(folder), str(self.log), dict(environment or {}), before)
        self.process = SERVER.Process(target=_run, args=given)
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    @property
    def output(self) -> str:
        return self.log.read_bytes()[self.printed_before :].decode() if self.log.exists() else ""

    def send(self, number: int) -> None:
        """Send a signal to the process, if it is still there."""
        if self.alive:
            os.kill(self.pid, number)

    def kill(self, tree: bool = False) -> int:
        """Kill the process, and with `tree` those that it started; return how many were hit."""
        victims = [self.pid, *(children(self.pid) if tree else [])] if self.alive else []
        for pid in victims:
            kill(pid)
        self.process.join(PATIENCE)
        return len(victims)

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, f"still running:\n{self.output}"
        return self.process.exitcode

    def wait_for(self, condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
        """Wait until something holds; False when the process ended before it did."""
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.alive:
                return bool(condition())
            assert time.monotonic() < deadline, f"this never came:\n{self.output}"
            time.sleep(0.02)
        return True


def children(pid: int) -> list[int]:
    """Return the processes that another one has started, and that run."""
    numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [number for number in numbers if _parent(number) == pid]


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and isn't waited for doesn't."""
    return _parent(pid) is not None


def _parent(pid: int) -> int | None:
    """Return the parent of a process that runs."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(parent)


def kill(pid: int) -> bool:
    """Kill a process; False when it has ended before."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _run(arguments: list[str], folder: str, log: str, environment: dict[str, str], before: Callable) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
    gc.freeze()  # what the server has imported isn't looked through again and again
    before()
    os.chdir(folder)
    os.environ.update(environment)
    tempfile.tempdir = None  # which the server has looked up
    sys.argv = ["launch.py", *arguments]
    from persona_sweeps.cli.launch import main

    main()
