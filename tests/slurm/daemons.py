"""The daemons of a cluster, each on a machine.py of its own that can be pulled."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.slurm.configuration import Layout
from tests.slurm.machine import descendants

PACKAGES = "slurm-wlm slurm-client munge"
_SECONDS = 60
"""how long a daemon may take to answer, or to end"""
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")
T = TypeVar("T")


class ClusterError(Exception):
    """The cluster didn't start, refused a command, or didn't get where a test waited for it to be."""


def search_path() -> str:
    """Return PATH with the folders where daemons are installed, which few users have on theirs."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def missing_programs() -> list[str]:
    """Return which of SLURM's programs this computer lacks."""
    return [name for name in _PROGRAMS if shutil.which(name, path=search_path()) is None]


class Daemons:
    """munged, slurmctld, and a slurmd for each node, by these names (a slurmd by its node's).

    Everything raises a ClusterError with the daemons' last words rather than wait for ever.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._machines: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self) -> dict[str, str]:
        """The variables that make a process a client of this cluster, the stand-in for `sacct` first on its PATH."""
        return {
            "SLURM_CONF": str(self.layout.conf),
            "PATH": os.pathsep.join([str(self.layout.root / "bin"), search_path()]),
        }

    def full_environment(self) -> dict[str, str]:
        """This process's variables and those, less what it may have from a cluster that it runs on itself."""
        foreign = ("SLURM", "SBATCH_", "SRUN_", "SQUEUE_", "SINFO_", "SCANCEL_", "SCONTROL_")
        own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return own | self.environment()

    # ---- starting

    def start_munged(self) -> None:
        """Start the daemon that signs every message, and wait until it answers."""
        layout, run = self.layout, self.layout.root / "run"
        command = ["munged", "--foreground", "--force", f"--key-file={layout.munge_key}"]
        command += [f"--socket={layout.munge_socket}", f"--log-file={layout.log('munged')}"]
        self._run("munged", *command, f"--pid-file={run}/munged.pid", f"--seed-file={run}/munge.seed")
        self._await_socket(socket.AF_UNIX, str(layout.munge_socket))

    def start_controller(self) -> None:
        """Start slurmctld unless it runs, and wait until it answers."""
        if not self.alive("slurmctld"):
            self._run("slurmctld", "slurmctld", "-D", "-i")
        self._await_socket(socket.AF_INET, ("127.0.0.1", self.layout.ports[0]))

    def start_node(self, name: str) -> None:
        """Start a node's slurmd unless it runs."""
        if not self.alive(name):
            self._run(name, "slurmd", "-D", "-N", name)

    def _run(self, name: str, *command: str) -> None:
        program = shutil.which(command[0], path=search_path())
        if program is None:
            raise ClusterError(f"{command[0]} isn't installed; on Debian or Ubuntu: apt-get install {PACKAGES}")
        self.pull(name)
        machine = [sys.executable, "-IS", str(Path(__file__).with_name("machine.py"))]
        self._machines[name] = subprocess.Popen(
            [*machine, str(self.layout.log(name).with_suffix(".out")), program, *command[1:]],
            stdin=subprocess.PIPE,
            env=self.full_environment(),
            cwd=self.layout.root / "work",
            start_new_session=True,
        )

    # ---- ending

    def stop(self, name: str) -> None:
        """Ask a daemon to end, as for maintenance, and wait until it has."""
        if self.alive(name):
            machine = self._machines[name]
            os.kill(descendants(machine.pid)[0], signal.SIGTERM)
            self.wait(lambda: machine.poll() is not None)

    def pull(self, *names: str) -> None:
        """Cut the power of machines: the daemon and all that it started are gone without a signal."""
        machines = [self._machines.pop(name) for name in names if name in self._machines]
        for machine in machines:
            assert machine.stdin is not None
            machine.stdin.close()
        if stuck := [machine for machine in machines if not _ends(machine)]:
            raise ClusterError(f"{len(stuck)} machines of the cluster didn't end in {_SECONDS} s.\n{self.logs()}")

    def pull_all(self) -> None:
        self.pull(*self._machines)

    def kill_jobs(self) -> None:
        """Kill the processes of all jobs, but neither the daemons nor what watches over a job for them."""
        nodes = [self._machines[name].pid for name in self.layout.names if self.alive(name)]
        for process in (process for node in nodes for process in descendants(node)):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{process}/comm").read_text().strip() not in ("slurmd", "slurmstepd"):
                    os.kill(process, signal.SIGKILL)

    # ---- watching

    def alive(self, name: str) -> bool:
        return name in self._machines and self._machines[name].poll() is None

    def check(self) -> None:
        """Raise a ClusterError if a daemon has ended that nobody asked to."""
        if ended := [name for name in self._machines if not self.alive(name)]:
            raise ClusterError(f"{', '.join(ended)} ended by itself.\n{self.logs()}")

    def wait(self, condition: Callable[[], T], seconds: float = _SECONDS, told: Callable[[], str] | None = None) -> T:
        """Return the first true value of `condition`, asked again and again; `told` adds to the error's message."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                raise ClusterError(f"Waited {seconds:g} s in vain.\n{told() if told else ''}\n{self.logs()}")
            time.sleep(0.1)
        return value

    def _await_socket(self, family: socket.AddressFamily, address: str | tuple[str, int]) -> None:
        def answers() -> bool:
            self.check()
            with socket.socket(family) as probe:
                return probe.connect_ex(address) == 0

        self.wait(answers)

    def logs(self, lines: int = 15) -> str:
        """Return the last lines of every daemon's log."""
        files = sorted((self.layout.root / "log").glob("*"))
        texts = {path: path.read_text(errors="replace").splitlines() for path in files}
        # A daemon prints (.out) what it logs (.log), or all that is known of it when it didn't come to open its log.
        twice = [path.with_suffix(".out") for path, text in texts.items() if path.suffix == ".log" and text]
        tails = {path.stem: text[-lines:] for path, text in texts.items() if text and path not in twice}
        return "\n".join("\n".join([f"-- {name}", *tail]) for name, tail in tails.items())


def _ends(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process ends in time."""
    try:
        process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return False
    return True
