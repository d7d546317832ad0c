"""SLURM jobs, submitted through submitit, and watched with squeue, which needs no accounting database."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from persona_sweeps.errors import UserError
from persona_sweeps.execution.backend import JobState, JobStatus, Task
from persona_sweeps.execution.host_memory import host_gb
from persona_sweeps.execution.job_file import search_path_of
from persona_sweeps.execution.launch_target import LaunchTarget
from persona_sweeps.execution.slurm.commands import run
from persona_sweeps.execution.slurm.limit import Lanes, shares
from persona_sweeps.execution.slurm.queue import squeue
from persona_sweeps.execution.slurm.settings import SlurmSettings
from persona_sweeps.execution.worker_process import WORKER, worker_arguments
from persona_sweeps.planning.obstacles import Obstacle
from persona_sweeps.planning.preflight import Predictions

if TYPE_CHECKING:
    from submitit import SlurmExecutor

PROGRAMS = ("sbatch", "squeue", "srun")
ENDED_TASKS = "already finished"
"""in what scontrol says of an array of which some tasks have ended"""


def slurm_target(given: Mapping[str, Any], config: DictConfig) -> LaunchTarget:
    """Return SLURM as a launch target. Raises ConfigError for settings that are wrong."""
    settings = SlurmSettings.read(given)

    def backend(folder: Path, predictions: Predictions) -> SlurmBackend:
        return SlurmBackend(settings, folder, predictions)

    return LaunchTarget(
        settings.machine(), backend, list(_obstacles()), settings.max_retries, settings.poll_seconds,
        search_path_of(config),
    )  # fmt: skip


def _obstacles() -> Iterator[Obstacle]:
    """Yield what keeps this machine from submitting jobs."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        yield Obstacle(
            f"no {missing[0]}",
            f"hydra/launcher=slurm needs {', '.join(missing)}, not found on PATH: run it on a login node, or set "
            "hydra/launcher=local.",
        )
    if importlib.util.find_spec("submitit") is None:
        yield Obstacle("no submitit", "hydra/launcher=slurm needs submitit: pip install 'persona-sweeps[slurm]'.")


class SlurmBackend:
    """A job a group; those that ask for the same resources are submitted as one array.

    submitit makes an array of a batch of two or more, in which it forgets `python`: with that set, each stands alone.
    """

    survives = True

    def __init__(self, settings: SlurmSettings, folder: Path, predictions: Predictions) -> None:
        """`folder` takes the scripts and what jobs print; every node must see it."""
        self.slots = settings.max_parallel
        self._settings = settings
        self._folder = folder.absolute()
        self._predictions = predictions
        self._statuses: dict[str, JobStatus] = {}
        self._avoided: list[str] = []
        self._shares: dict[str, int] = {}
        """how many jobs of each array may run at once"""
        self._lanes = Lanes(settings.max_parallel)

    def submit(self, tasks: Sequence[Task]) -> list[str]:
        alike: dict[str, list[Task]] = {}
        for task in tasks:
            alike.setdefault(repr(sorted(self._resources(task).items(), key=str)), []).append(task)
        arrays = {name for name, several in alike.items() if len(several) > 1 and not self._settings.python}
        limits = self._shares_of({name: len(alike[name]) for name in arrays})
        ids: dict[Path, str] = {}
        for name, several in alike.items():
            jobs = self._submit_array(several, limits[name]) if name in arrays else self._submit_alone(several)
            ids |= dict(zip([task.path for task in several], jobs, strict=True))
        return [ids[task.path] for task in tasks]

    def _submit_array(self, tasks: Sequence[Task], limit: int) -> list[str]:
        executor = self._executor(self._resources(tasks[0]) | {"array_parallelism": limit})
        with _refusals_explained(), executor.batch():
            jobs = [executor.submit(*self._work(task)) for task in tasks]
        ids = [job.job_id for job in jobs]
        self._shares[_array(ids[0])] = limit
        self._statuses |= dict.fromkeys(ids, JobStatus(JobState.waiting))
        return ids

    def _submit_alone(self, tasks: Sequence[Task]) -> list[str]:
        parameters = self._resources(tasks[0])
        ids = []
        for task in tasks:
            ahead = self._lanes.ahead(lambda job: self._statuses[job].state is JobState.finished)
            after = {"dependency": f"afterany:{ahead}"} if ahead is not None else {}
            additional = {"additional_parameters": {**after, **parameters["additional_parameters"]}}
            executor = self._executor(parameters | additional)
            with _refusals_explained():
                ids.append(executor.submit(*self._work(task)).job_id)
            self._statuses[ids[-1]] = JobStatus(JobState.waiting)
            self._lanes.add(ids[-1])
        return ids

    def _executor(self, parameters: Mapping[str, Any]) -> SlurmExecutor:
        from submitit import SlurmExecutor

        executor = SlurmExecutor(self._folder, python=self._settings.python)
        executor.update_parameters(**parameters)
        return executor

    def _work(self, task: Task) -> tuple[Any, ...]:
        """Return what submitit is to call in a group's job."""
        return work, str(task.path.absolute()), os.getcwd(), self._settings.stall_seconds

    def poll(self, jobs: Sequence[str]) -> Mapping[str, JobStatus]:
        if jobs and (standing := squeue()) is not None:
            for job in jobs:
                gone = JobStatus(JobState.finished, self._node(job), "SLURM no longer knows it")
                self._statuses[job] = standing.get(job, gone)
            self._share_out()
        # A controller that doesn't answer says nothing of the jobs: they stand as they stood.
        return {job: self._statuses.get(job, JobStatus(JobState.waiting)) for job in jobs}

    def log(self, job: str) -> Path | None:
        return self._folder / f"{job}_0_log.out"

    def avoid(self, node: str) -> None:
        self._avoided.append(node)

    def stop(self, jobs: Sequence[str]) -> None:
        """Jobs of a cluster survive."""

    def _shares_of(self, more: Mapping[str, int]) -> dict[str, int]:
        """Return how many jobs of each array may run at once: of those there are, and of `more` to come."""
        left = [job for job, status in self._statuses.items() if status.state is not JobState.finished]
        arrays = Counter(_array(job) for job in left if "_" in job)
        alone = len(left) - arrays.total()
        return shares(max(1, self.slots - alone), {**arrays, **more})

    def _share_out(self) -> None:
        """Give the arrays the shares of the limit that they are due now."""
        for array, share in self._shares_of({}).items():
            if self._shares.get(array) != share and _set_limit(array, share):
                self._shares[array] = share

    def _node(self, job: str) -> str:
        return self._statuses[job].node if job in self._statuses else ""

    def _resources(self, task: Task) -> dict[str, Any]:
        """Return submitit's parameters for the jobs of a group's model."""
        settings = self._settings.of(task.cells[0].config.model.name)
        parameters = {
            "job_name": task.cells[0].config.sweep.name,
            "partition": settings.partition,
            "account": settings.account,
            "qos": settings.qos,
            "constraint": settings.constraint,
            "cpus_per_task": settings.cpus_per_job,
            "mem": f"{1000 * (settings.mem_gb or host_gb(task, self._predictions, settings.gpus_per_job)):.0f}M",
            "time": settings.timeout_min,
            "signal_delay_s": settings.signal_seconds,
            "exclude": ",".join(self._avoided) or None,
            "setup": settings.setup or None,
            "stderr_to_stdout": True,
            "additional_parameters": {"requeue": True, **settings.additional},
        }
        if settings.gpus_per_job:
            kind = f"{settings.gpu_type}:" if settings.gpu_type else ""
            parameters["gres"] = f"gpu:{kind}{settings.gpus_per_job}"
        return {key: value for key, value in parameters.items() if value is not None}


def work(path: str, folder: str, stall_seconds: float | None) -> int:
    """Do what a job's file says, in the job: this is what submitit calls there. Return the exit code."""
    os.chdir(folder)
    return int(importlib.import_module(WORKER).main(worker_arguments(Path(path), stall_seconds)))


@contextlib.contextmanager
def _refusals_explained() -> Iterator[None]:
    from submitit.core.utils import FailedJobError

    try:
        yield
    except (FailedJobError, subprocess.SubprocessError) as error:
        message = " ".join(str(error).split())
        raise UserError(f"sbatch refused the jobs: {message}. Check the settings under hydra.launcher.") from error


def _array(job: str) -> str:
    """Return the array that a job is of; the job itself where it is of none."""
    return job.partition("_")[0]


def _set_limit(array: str, share: int) -> bool:
    """Have at most so many jobs of an array run at once; return whether SLURM took it."""
    done = run("scontrol", "update", f"JobId={array}", f"ArrayTaskThrottle={share}")
    # For tasks that have ended it says so and fails, although it has set the limit of the others.
    return done is not None and (done.returncode == 0 or ENDED_TASKS in done.stderr)
