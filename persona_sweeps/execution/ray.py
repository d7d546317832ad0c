"""Groups as tasks of a Ray cluster: Ray says where and when, and a worker process does the work there.

Every node must see the folder of outputs and this one, and must have this package installed. Tasks end with the command
that gave them; what they were training is saved, and the same command goes on from there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from persona_sweeps.errors import ConfigError, UserError
from persona_sweeps.execution.backend import JobState, JobStatus, Task
from persona_sweeps.execution.host_memory import GB, host_gb
from persona_sweeps.execution.job_file import search_path_of
from persona_sweeps.execution.job_settings import LEAST, JobSettings
from persona_sweeps.execution.launch_target import LaunchTarget
from persona_sweeps.execution.plugin_settings import refuse_unknown, too_small
from persona_sweeps.execution.worker_process import PATIENCE, describe_exit, import_path, start_worker
from persona_sweeps.planning.obstacles import Obstacle
from persona_sweeps.planning.preflight import Predictions
from persona_sweeps.records.files import write_text

CONNECT_SECONDS = 10
LOOK = 0.2
"""seconds between two looks of a task at its worker; Ray's request to stop comes between two of them"""


@dataclass(frozen=True)
class RaySettings(JobSettings):
    """The keys of conf/hydra/launcher/ray.yaml."""

    address: str | None


def ray_target(given: Mapping[str, Any], config: DictConfig) -> LaunchTarget:
    """Return a Ray cluster as a launch target. Raises ConfigError for settings that are wrong."""
    refuse_unknown(RaySettings, given, "hydra.launcher")
    settings = RaySettings(**given)
    if mistakes := list(too_small(settings, LEAST, "hydra.launcher")):
        raise ConfigError(" ".join(mistakes))
    obstacles = []
    if importlib.util.find_spec("ray") is None:
        obstacles.append(Obstacle("no Ray", "hydra/launcher=ray needs Ray: pip install 'persona-sweeps[ray]'."))

    def backend(folder: Path, predictions: Predictions) -> RayBackend:
        return RayBackend(settings, folder, predictions)

    return LaunchTarget(
        settings.machine(), backend, obstacles, settings.max_retries, settings.poll_seconds, search_path_of(config)
    )


class RayBackend:
    """A task a group; those beyond `max_parallel` wait here, the others where Ray has them wait."""

    survives = False

    def __init__(self, settings: RaySettings, folder: Path, predictions: Predictions) -> None:
        """`folder` takes what workers print; every node must see it. Raises UserError when no cluster answers."""
        self.slots = settings.max_parallel
        self._settings = settings
        self._folder = folder.absolute()
        self._predictions = predictions
        self._waiting: dict[str, Task] = {}
        self._running: dict[str, Any] = {}
        self._finished: dict[str, JobStatus] = {}
        self._avoided: set[str] = set()
        self._submitted = 0
        _connect(settings.address)

    def submit(self, tasks: Sequence[Task]) -> list[str]:
        ids = []
        for task in tasks:
            self._submitted += 1
            ids.append(f"{os.getpid()}-{self._submitted}")
            self._waiting[ids[-1]] = task
        self._start()
        return ids

    def poll(self, jobs: Sequence[str]) -> Mapping[str, JobStatus]:
        import ray

        for name, reference in list(self._running.items()):
            if ray.wait([reference], timeout=0)[0]:
                del self._running[name]
                self._finished[name] = JobStatus(JobState.finished, self._node(name), _end_of(reference))
        self._start()
        return {name: self._status(name) for name in jobs}

    def log(self, job: str) -> Path | None:
        return self._folder / f"{job}.log"

    def avoid(self, node: str) -> None:
        self._avoided.add(node)

    def stop(self, jobs: Sequence[str]) -> None:
        import ray

        self._waiting.clear()
        for reference in self._running.values():
            ray.cancel(reference)
        if self._running:
            ray.wait(list(self._running.values()), num_returns=len(self._running), timeout=PATIENCE)

    def _status(self, name: str) -> JobStatus:
        if name not in self._running:
            return self._finished.get(name, JobStatus(JobState.waiting if name in self._waiting else JobState.finished))
        node = self._node(name)
        return JobStatus(JobState.running, node) if node else JobStatus(JobState.waiting)

    def _node(self, name: str) -> str:
        """Return the node that a task has begun on; empty before."""
        try:
            return _node_file(self._folder / f"{name}.log").read_text(encoding="utf-8")
        except OSError:
            return ""

    def _start(self) -> None:
        import ray

        for name in list(self._waiting)[: self.slots - len(self._running)]:
            task = self._waiting.pop(name)
            log = self._folder / f"{name}.log"
            remote = ray.remote(work).options(**self._resources(task))
            own = self._settings
            self._running[name] = remote.remote(
                str(task.path.absolute()), str(log), os.getcwd(), own.cpus_per_job, own.stall_seconds
            )

    def _resources(self, task: Task) -> dict[str, Any]:
        own = self._settings
        memory = own.mem_gb or host_gb(task, self._predictions, own.gpus_per_job)
        asked = {
            "num_cpus": own.cpus_per_job,
            "num_gpus": own.gpus_per_job,
            "memory": int(memory * GB),
            "max_retries": 0,  # records decide what is to be tried again
            "accelerator_type": own.gpu_type,
            "label_selector": _elsewhere(self._avoided),
        }
        return {key: value for key, value in asked.items() if value is not None}


def work(group: str, log: str, folder: str, cpus: int, stall_seconds: float | None) -> int:
    """Run a worker on the node that Ray has chosen, and return its exit code.

    When Ray cancels the task, the worker saves what it has in training before it ends.
    """
    os.chdir(folder)
    write_text(_node_file(Path(log)), socket.gethostname())
    process = start_worker(Path(group), Path(log), stall_seconds, {"OMP_NUM_THREADS": str(cpus)})
    try:
        while process.poll() is None:
            time.sleep(LOOK)
    except BaseException:  # KeyboardInterrupt is how Ray cancels
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(Exception):
            process.wait(PATIENCE)
        raise
    finally:
        if process.poll() is None:
            process.kill()
    return int(process.returncode)


def _connect(address: str | None) -> None:
    import ray

    if ray.is_initialized():
        return
    _require_answer(address or os.environ.get("RAY_ADDRESS"))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports to its makers
    try:
        ray.init(
            address=address,
            runtime_env={"env_vars": import_path()},
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        message = " ".join(str(error).split())
        raise UserError(f"No Ray cluster answers at hydra.launcher.address={address}: {message}") from error


def _require_answer(address: str | None) -> None:
    """Raise UserError when nothing listens at an address: Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):  # none, or a word of Ray's, such as auto
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"No Ray cluster answers at {address} ({error}): `ray start --head` on one machine prints the address that "
            "hydra.launcher.address wants; null begins a cluster of this machine alone."
        ) from error


def _end_of(reference: Any) -> str:
    """Return how a task ended, in words."""
    import ray

    try:
        return describe_exit(ray.get(reference))
    except ray.exceptions.RayError as error:
        message = re.sub(r"\x1b\[[\d;]*m", "", str(error)).splitlines()
        return f"{type(error).__name__}: {message[-1] if message else 'no word'}"


def _elsewhere(hosts: set[str]) -> dict[str, str] | None:
    """Return Ray's label selector for all nodes but those of these hosts."""
    import ray

    if not hosts:
        return None
    avoided = sorted(node["NodeID"] for node in ray.nodes() if node["NodeManagerHostname"] in hosts)
    return {"ray.io/node-id": f"!in({','.join(avoided)})"}


def _node_file(log: Path) -> Path:
    """Return the file in which a task says where it runs."""
    return log.with_suffix(".node")
