"""SLURM jobs, submitted through submitit, and watched with squeue, which needs no accounting database."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from persona_sweeps.errors import UserError
from persona_sweeps.execution.backend import State, Status, Task
from persona_sweeps.execution.job_file import search_path_of
from persona_sweeps.execution.host_memory import host_gb
from persona_sweeps.execution.slurm.limit import Lanes, shares
from persona_sweeps.execution.slurm.settings import SlurmSettings
from persona_sweeps.execution.launch_target import Place, Predictions

if TYPE_CHECKING:
    from submitit import SlurmExecutor

WAITING = {"PENDING", "REQUEUED", "REQUEUE_FED", "SUSPENDED", "SPECIAL_EXIT"}
RUNNING = {"CONFIGURING", "RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "RESIZING", "STOPPED"}
HELD = "held"
"""in the reason of a job that SLURM won't start again by itself, after launching it has failed too often"""
COMMAND_SECONDS = 60
"""after which a command of SLURM is taken to have failed: its controller may be down"""


def slurm_place(given: Mapping[str, Any], config: DictConfig) -> Place:
    """Return SLURM as a place. Raises UserError for settings that are wrong, and where there is no SLURM."""
    settings = SlurmSettings.read(given)
    if missing := [name for name in ("sbatch", "squeue", "srun") if shutil.which(name) is None]:
        raise UserError(
            f"hydra/launcher=slurm needs {', '.join(missing)}, not found on PATH: run it on a login node, or set "
            "hydra/launcher=local."
        )
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UserError("hydra/launcher=slurm needs submitit: pip install 'persona-sweeps[slurm]'.") from error

    def backend(folder: Path, predictions: Predictions) -> SlurmBackend:
        return SlurmBackend(settings, folder, predictions)

    return Place(settings.machine(), backend, settings.max_retries, settings.poll_seconds, search_path_of(config))


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
        self._known: dict[str, Status] = {}
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
        with _refusals_told(), executor.batch():
            jobs = [executor.submit(*self._work(task)) for task in tasks]
        ids = [job.job_id for job in jobs]
        self._shares[_array(ids[0])] = limit
        self._known |= dict.fromkeys(ids, Status(State.waiting))
        return ids

    def _submit_alone(self, tasks: Sequence[Task]) -> list[str]:
        asked = self._resources(tasks[0])
        ids = []
        for task in tasks:
            ahead = self._lanes.ahead(lambda job: self._known[job].state is State.ended)
            after = {"dependency": f"afterany:{ahead}"} if ahead is not None else {}
            executor = self._executor(asked | {"additional_parameters": {**after, **asked["additional_parameters"]}})
            with _refusals_told():
                ids.append(executor.submit(*self._work(task)).job_id)
            self._known[ids[-1]] = Status(State.waiting)
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

    def poll(self, jobs: Sequence[str]) -> Mapping[str, Status]:
        if jobs and (found := _squeue()) is not None:
            for job in jobs:
                self._known[job] = found.get(job, Status(State.ended, self._node(job), "SLURM no longer knows it"))
            self._share_out()
        # A controller that doesn't answer says nothing of the jobs: they stand as they stood.
        return {job: self._known.get(job, Status(State.waiting)) for job in jobs}

    def log(self, job: str) -> Path | None:
        return self._folder / f"{job}_0_log.out"

    def avoid(self, node: str) -> None:
        self._avoided.append(node)

    def stop(self, jobs: Sequence[str]) -> None:
        """Jobs of a cluster survive."""

    def _shares_of(self, more: Mapping[str, int]) -> dict[str, int]:
        """Return how many jobs of each array may run at once: of those there are, and of `more` to come."""
        left = [job for job, status in self._known.items() if status.state is not State.ended]
        arrays = Counter(_array(job) for job in left if "_" in job)
        alone = len(left) - arrays.total()
        return shares(max(1, self.slots - alone), {**arrays, **more})

    def _share_out(self) -> None:
        """Give the arrays the shares of the limit that they are due now."""
        for array, share in self._shares_of({}).items():
            if self._shares.get(array) != share and _set_limit(array, share):
                self._shares[array] = share

    def _node(self, job: str) -> str:
        return self._known[job].node if job in self._known else ""

    def _resources(self, task: Task) -> dict[str, Any]:
        """Return submitit's parameters for the jobs of a group's model."""
        own = self._settings.of(task.cells[0].config.model.name)
        asked = {
            "job_name": task.cells[0].config.sweep.name,
            "partition": own.partition,
            "account": own.account,
            "qos": own.qos,
            "constraint": own.constraint,
            "cpus_per_task": own.cpus_per_job,
            "mem": f"{1000 * (own.mem_gb or host_gb(task, self._predictions, own.gpus_per_job)):.0f}M",
            "time": own.timeout_min,
            "signal_delay_s": own.signal_seconds,
            "exclude": ",".join(self._avoided) or None,
            "setup": own.setup or None,
            "stderr_to_stdout": True,
            "additional_parameters": {"requeue": True, **own.additional},
        }
        if own.gpus_per_job:
            kind = f"{own.gpu_type}:" if own.gpu_type else ""
            asked["gres"] = f"gpu:{kind}{own.gpus_per_job}"
        return {key: value for key, value in asked.items() if value is not None}


def work(path: str, folder: str, stall_seconds: float | None) -> int:
    """Train a group, in a job: what submitit calls there."""
    from persona_sweeps.cli.worker import main, options

    os.chdir(folder)
    return main(options(Path(path), stall_seconds))


@contextlib.contextmanager
def _refusals_told() -> Iterator[None]:
    from submitit.core.utils import FailedJobError

    try:
        yield
    except (FailedJobError, subprocess.SubprocessError) as error:
        told = " ".join(str(error).split())
        raise UserError(f"sbatch refused the jobs: {told}. Check the settings under hydra.launcher.") from error


def _array(job: str) -> str:
    """Return the array that a job is of; the job itself where it's of none."""
    return job.partition("_")[0]


def _set_limit(array: str, share: int) -> bool:
    """Have at most so many jobs of an array run at once; return whether SLURM took it."""
    command = ["scontrol", "update", f"JobId={array}", f"ArrayTaskThrottle={share}"]
    try:
        return subprocess.run(command, capture_output=True, timeout=COMMAND_SECONDS).returncode == 0
    except (subprocess.SubprocessError, OSError):
        return False


def _squeue() -> dict[str, Status] | None:
    """Return how this user's jobs stand, those that ended lately too; None when SLURM doesn't answer."""
    command = ["squeue", "--noheader", "--array", "--states=all", f"--user={getpass.getuser()}", "--format=%i|%T|%N|%r"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError):
        return None
    return dict(_status(line) for line in done.stdout.splitlines() if line.count("|") >= 3)


def _status(line: str) -> tuple[str, Status]:
    job, state, node, reason = line.strip().split("|", 3)
    if state in RUNNING:
        return job, Status(State.running, node)
    if state in WAITING and HELD not in reason.lower():
        return job, Status(State.waiting)
    return job, Status(State.ended, node, state if reason in ("None", "") else f"{state}, {reason}")
