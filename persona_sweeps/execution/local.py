"""Worker processes on this machine, each of which sees a GPU of its own, or a share of the CPUs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from persona_sweeps.config.schema import DeviceKind
from persona_sweeps.device import Machine, cuda_capability, device_count, memory_bytes, resolve_device
from persona_sweeps.errors import ConfigError
from persona_sweeps.execution.backend import JobState, JobStatus, Task
from persona_sweeps.execution.job_file import search_path_of
from persona_sweeps.execution.launch_target import LaunchTarget
from persona_sweeps.execution.plugin_settings import refuse_unknown, too_small
from persona_sweeps.execution.worker_process import PATIENCE, describe_exit, start_worker
from persona_sweeps.lifecycle import stopping
from persona_sweeps.planning.preflight import Predictions

CPUS_A_WORKER = 4
"""where the number of workers isn't given and there is no GPU"""


@dataclass(frozen=True)
class LocalSettings:
    """The keys of conf/hydra/launcher/local.yaml."""

    workers: int | None
    max_retries: int
    stall_seconds: float | None
    poll_seconds: float


LEAST = {"workers": 1, "max_retries": 0, "stall_seconds": 1}


def local_target(given: Mapping[str, Any], config: DictConfig) -> LaunchTarget:
    """Return worker processes of this machine as a launch target. Raises ConfigError for settings that are wrong."""
    refuse_unknown(LocalSettings, given, "hydra.launcher")
    settings = LocalSettings(**given)
    if mistakes := list(too_small(settings, LEAST, "hydra.launcher")):
        raise ConfigError(" ".join(mistakes))
    on_gpus = resolve_device(DeviceKind(str(config.device))) == "cuda" and device_count() > 0
    slots = settings.workers or (device_count() if on_gpus else max(1, cpus() // CPUS_A_WORKER))
    memory = memory_bytes("cpu")
    machine = Machine(
        gpus=int(on_gpus),
        compute_capability=cuda_capability() or 0,
        gpu_bytes=memory_bytes("cuda") if on_gpus else None,
        host_bytes=None if memory is None else memory // slots,
    )

    def backend(folder: Path, predictions: Predictions) -> LocalBackend:
        return LocalBackend(folder, slots, on_gpus, settings.stall_seconds)

    return LaunchTarget(machine, backend, (), settings.max_retries, settings.poll_seconds, search_path_of(config))


@dataclass
class _Worker:
    process: subprocess.Popen
    slot: int


class LocalBackend:
    """A queue of groups and a worker process for each slot."""

    survives = False

    def __init__(self, folder: Path, slots: int, on_gpus: bool, stall_seconds: float | None) -> None:
        """`folder` takes what workers print."""
        self.slots = slots
        self._folder = folder
        self._stall_seconds = stall_seconds
        self._devices = _visible_devices(slots) if on_gpus else None
        self._threads = max(1, cpus() // slots)
        self._waiting: list[tuple[str, Task]] = []
        self._workers: dict[str, _Worker] = {}
        self._finished: dict[str, JobStatus] = {}
        self._submitted = 0

    def submit(self, tasks: Sequence[Task]) -> list[str]:
        ids = []
        for task in tasks:
            self._submitted += 1
            ids.append(f"{os.getpid()}-{self._submitted}")
            self._waiting.append((ids[-1], task))
        self._start()
        return ids

    def poll(self, jobs: Sequence[str]) -> Mapping[str, JobStatus]:
        for name, worker in list(self._workers.items()):
            if (code := worker.process.poll()) is not None:
                del self._workers[name]
                self._finished[name] = JobStatus(JobState.finished, reason=describe_exit(code))
        self._start()
        waiting = {name for name, _ in self._waiting}
        return {name: self._status(name, waiting) for name in jobs}

    def log(self, job: str) -> Path | None:
        return self._folder / f"{job}.log"

    def avoid(self, node: str) -> None:
        """There is no other node."""

    def stop(self, jobs: Sequence[str]) -> None:
        self._waiting.clear()
        for worker in self._workers.values():
            worker.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        for worker in self._workers.values():
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()

    def _status(self, name: str, waiting: set[str]) -> JobStatus:
        if name in self._workers:
            return JobStatus(JobState.running)
        return (
            JobStatus(JobState.waiting) if name in waiting else self._finished.get(name, JobStatus(JobState.finished))
        )

    def _start(self) -> None:
        """Give free slots to what waits."""
        free = [slot for slot in range(self.slots) if slot not in {worker.slot for worker in self._workers.values()}]
        for slot in free[: len(self._waiting)]:
            name, task = self._waiting.pop(0)
            try:
                with stopping.current().later():  # a worker that was started is known
                    self._workers[name] = _Worker(self._launch(name, task, slot), slot)
            except OSError as error:
                self._finished[name] = JobStatus(JobState.finished, reason=f"it couldn't be started: {error}")

    def _launch(self, name: str, task: Task, slot: int) -> subprocess.Popen:
        environment = {"OMP_NUM_THREADS": str(self._threads)}
        if self._devices is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self._devices[slot]
        return start_worker(task.path, self._folder / f"{name}.log", self._stall_seconds, environment)


def cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _visible_devices(slots: int) -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES is to say in each slot: one each of those that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in visible.split(",")] if visible else [str(index) for index in range(slots)]
    return [names[slot % len(names)] for slot in range(slots)]
