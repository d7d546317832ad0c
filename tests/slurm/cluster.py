"""A real, throw-away SLURM cluster on this computer.

    with Cluster() as cluster:
        job = cluster.submit("echo $CUDA_VISIBLE_DEVICES", "--gpus-per-node=1")
        cluster.wait(lambda: cluster.job(job).ended, seconds=30)

It needs no rights, no systemd and no configuration, and several stand side by side. Nothing outlives it: no daemon, no
job, and no process that a job left behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.slurm.configuration import Layout, free_ports
from tests.slurm.daemons import ClusterError, Daemons

_COMMAND_SECONDS = 60
_ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT",
}  # fmt: skip
_FIELDS = ("JobArrayID", "Name", "State", "NodeList", "Partition", "exit_code", "RestartCnt", "Reason")
T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """A job, or one task of an array, as the controller knows it."""

    id: str
    """`12`, or `12_3` for task 3 of the array 12"""
    name: str
    state: str
    """PENDING, RUNNING, COMPLETING, COMPLETED, FAILED, CANCELLED, TIMEOUT, NODE_FAIL, PREEMPTED …"""
    node: str
    """empty while it waits"""
    partition: str
    exit_code: int
    """of the batch script; negative: the signal that ended it"""
    restarts: int
    """how many times it was requeued"""
    reason: str
    """why it waits, or how it ended"""

    @property
    def array(self) -> str:
        """The id of the job, or of the array that it is part of."""
        return self.id.partition("_")[0]

    @property
    def ended(self) -> bool:
        return self.state in _ENDED


class Cluster:
    """A cluster that starts on entering a `with` block, and is gone without a trace on leaving it.

    Partition `main` is the default; a job in `high` preempts and requeues those in `main`, which are warned and have
    `grace` seconds. Nodes are called n1, n2 …, each with `gpus` of a type (`a100:2`). Methods raise a ClusterError that
    ends with the daemons' last words rather than wait for ever.
    """

    def __init__(
        self, nodes: int = 2, cpus: int = 4, memory: int = 16_000, gpus: str = "a100:2", grace: int = 4
    ) -> None:
        self._shape = (nodes, cpus, memory, gpus, grace)
        self._running: Daemons | None = None
        self._forgotten = 0
        """the last job before the last reset"""

    def __enter__(self) -> Cluster:
        attempts = 3
        while True:
            try:
                self._start()
                return self
            except BaseException as error:
                attempts -= 1
                # Another process may take a port between our look and the daemon's.
                again = attempts and isinstance(error, ClusterError) and "already in use" in self.logs()
                self.close()
                if not again:
                    raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        root = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        layout = Layout(root, *self._shape, ports=free_ports(1 + self._shape[0]))
        self._running = Daemons(layout)
        layout.write()
        self._running.start_munged()
        self._running.start_controller()
        for name in layout.names:
            self._running.start_node(name)
        for name in layout.names:
            self.node_up(name)

    def close(self) -> None:
        """Kill everything that runs on the cluster, and remove its folder."""
        if self._running is not None:
            try:
                self._running.pull_all()
            finally:
                shutil.rmtree(self._running.layout.root, ignore_errors=True)
                self._running = None

    @property
    def daemons(self) -> Daemons:
        if self._running is None:
            raise ClusterError("The cluster isn't running: use it in a `with` block.")
        return self._running

    @property
    def folder(self) -> Path:
        """Where jobs of `submit` run and leave their output."""
        return self.daemons.layout.root / "work"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make a process a client of this cluster: SLURM_CONF and PATH."""
        return self.daemons.environment()

    def logs(self, lines: int = 15) -> str:
        """Return the last lines of every daemon's log, for the message of a test that failed."""
        return self.daemons.logs(lines) if self._running is not None else "The cluster isn't running."

    # ---- jobs

    def submit(self, script: str, *sbatch_args: str) -> str:
        """Submit the lines of a shell script with `sbatch`, and return the job's id."""
        text = script if script.startswith("#!") else f"#!/bin/bash\n{script}\n"
        return self.client("sbatch", "--parsable", "--open-mode=append", *sbatch_args, stdin=text).partition(";")[0]

    def jobs(self) -> list[Job]:
        """Return all jobs since the last `reset`, each task of an array for itself, oldest first."""
        fields = ",".join(f"{field}:|" for field in _FIELDS)
        lines = self.client("squeue", "-h", "-a", "-r", "-t", "all", "-S", "i", "-O", fields).splitlines()
        return [job for job in map(_job, lines) if int(job.array) > self._forgotten]

    def job(self, job_id: str) -> Job:
        """Return one job, or one task of an array."""
        for job in self.jobs():
            if job.id == job_id:
                return job
        raise ClusterError(f"There is no job {job_id} on this cluster.\n{self.logs()}")

    def output(self, job_id: str) -> str:
        """Return what a job of `submit` has printed so far, over all its starts."""
        path = self.folder / f"slurm-{job_id}.out"
        return path.read_text() if path.exists() else ""

    def cancel(self, job_id: str) -> None:
        """Cancel a job, a task of an array, or a whole array."""
        self.client("scancel", job_id)

    def end_soon(self, job_id: str) -> None:
        """Let a running job's time be over in a second: SLURM ends it at its next look, every 30 s, with TIMEOUT."""
        self.client("scontrol", "update", f"JobId={job_id}", "EndTime=now+1seconds")

    def wait(self, condition: Callable[[], T], seconds: float = 60) -> T:
        """Return the first true value of `condition`, asked ten times a second.

        Raises:
            ClusterError: if it is still false after `seconds`; the message tells the jobs' states and the logs.
        """
        return self.daemons.wait(condition, seconds, self._told)

    def client(self, *command: str, stdin: str = "", check: bool = True) -> str:
        """Run one of SLURM's commands, and return what it printed; `check`: it must succeed."""
        told = " ".join(command)
        try:
            done = subprocess.run(
                command,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=_COMMAND_SECONDS,
                cwd=self.folder,
                env=self.daemons.full_environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"{told}: no answer in {_COMMAND_SECONDS} s.\n{self.logs()}") from error
        if check and done.returncode:
            raise ClusterError(f"{told}: {done.stderr.strip()}\n{self.logs()}")
        return done.stdout.strip()

    # ---- nodes and the controller

    def nodes(self) -> dict[str, str]:
        """Return the state of each node: idle, mixed, allocated, down, drained … (`*`: it doesn't answer)."""
        lines = self.client("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T").splitlines()
        return dict(line.split() for line in lines)

    def node_down(self, name: str) -> None:
        """Cut a node's power: its slurmd and its jobs' processes are gone without a signal, and SLURM is told so."""
        self.daemons.pull(name)
        self.client("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=its power was cut")

    def node_up(self, name: str) -> None:
        """Start a node again unless it runs, and wait until it takes jobs."""
        self.daemons.start_node(name)
        self.wait(lambda: self._takes_jobs(name))

    def controller_down(self) -> None:
        """Stop the controller as for maintenance: it saves its state, jobs run on, and clients find nobody to ask."""
        self.daemons.stop("slurmctld")

    def controller_up(self) -> None:
        """Start the controller again, and wait until it answers and knows its nodes."""
        self.daemons.start_controller()
        for name in filter(self.daemons.alive, self.daemons.layout.names):
            self.node_up(name)

    def reset(self) -> None:
        """End and forget all jobs, and bring back every node and the controller."""
        self.daemons.start_controller()
        for name in self.daemons.layout.names:
            self.node_up(name)
        if active := {job.array for job in self.jobs() if not job.ended}:
            self.client("scancel", "--quiet", *active)
            self.wait(self._all_ended_by_force)
        self._forgotten = max([self._forgotten, *(int(job.array) for job in self.jobs())])

    def _takes_jobs(self, name: str) -> bool:
        """Whether a node takes jobs; one that was down or drained is told to."""
        self.daemons.check()
        state = self.nodes()[name]
        if state.startswith(("down", "drain", "fail")):
            self.client("scontrol", "update", f"NodeName={name}", "State=RESUME", check=False)
        return state in ("idle", "mixed", "allocated", "completing")

    def _all_ended_by_force(self) -> bool:
        """Whether all jobs have ended; one that learnt to bear SIGTERM isn't given the time to."""
        self.daemons.kill_jobs()
        return all(job.ended for job in self.jobs())

    def _told(self) -> str:
        return "\n".join(map(str, self.jobs())) if self.daemons.alive("slurmctld") else "The controller is down."


def _job(line: str) -> Job:
    # The reason may hold anything; the fields before it can't.
    job_id, name, state, node, partition, status, restarts, reason = line.split("|", len(_FIELDS) - 1)
    code = os.waitstatus_to_exitcode(int(status))
    return Job(job_id, name, state, node, partition, code, int(restarts or 0), reason.rstrip("|"))
