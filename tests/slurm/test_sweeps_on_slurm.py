"""A sweep on a real cluster on which all that clusters do happens: one command, and each run ends as if nothing had."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.records.files import read_json
from tests.faults.conftest import SITE
from tests.slurm.cluster import Cluster, Job

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 240
"""for any one thing to happen, on a machine that may be busy"""
STEPS = 200
"""a hundred seconds until a run is released, and two from then on"""
RATES = ("1e-3", "2e-3", "3e-3", "1e30", "4e-3", "5e-3", "6e-3", "7e-3", "8e-3", "9e-3", "1e-2", "2e-2")
"""of the runs of a sweep, of which one diverges at once"""
CELLS = (
    "peft=lora", f"train.max_steps={STEPS}", "train.eval_every=0", "train.warmup_ratio=0", "metrics=[likelihood]",
    "group_size=1", "checkpoint_seconds=0.5",
)  # fmt: skip
ON_SLURM = (
    "hydra/launcher=slurm", "hydra.launcher.max_parallel=2", "hydra.launcher.poll_seconds=0.5",
    "hydra.launcher.cpus_per_job=3", "hydra.launcher.mem_gb=2", "hydra.launcher.gpu_type=a100",
    "hydra.launcher.signal_seconds=20",
)  # fmt: skip


@dataclass
class Sweep:
    """A launcher at work on the cluster, and what can be seen of its jobs."""

    cluster: Cluster
    process: subprocess.Popen
    folder: Path
    hit: set[str]
    """runs to which something has happened"""
    released: Path
    """a folder: runs whose learning rates name a file there are slow no longer"""

    @property
    def output(self) -> Path:
        return self.folder / "multirun_outputs"

    def printed(self) -> str:
        return (self.folder / "printed").read_text()

    def victim(self) -> tuple[Job, Path]:
        """Wait for a job in the midst of training a run to which nothing has happened yet."""

        def found() -> tuple[Job, Path] | None:
            assert self.process.poll() is None, self.printed()
            runs = {run: job for job, group in self._groups().items() for run in group}
            by_id = {job.id: job for job in self.cluster.jobs() if job.state == "RUNNING"}
            for run, job in runs.items():
                for folder in self.output.glob(f"runs/*-{run}"):
                    if job in by_id and run not in self.hit and in_the_midst(folder):
                        self.hit.add(run)
                        return by_id[job], folder
            return None

        return self.cluster.wait(found, SECONDS)  # type: ignore[return-value]

    def release(self, folder: Path | None = None) -> None:
        """Have a run, or all, train as fast as they can."""
        rate = json.loads((folder / "run.json").read_text())["config"]["train"]["learning_rate"] if folder else None
        (self.released / (f"{rate:g}" if folder else "all")).touch()

    def _groups(self) -> dict[str, list[str]]:
        """Return the run ids of each job, as its file lists them."""
        sweep = self.output / "sweeps" / "s"
        jobs = (read_json(sweep / "jobs.json") or {}).get("jobs", [])
        files = {job["id"]: read_json(sweep / "groups" / job["file"]) or {"cells": []} for job in jobs}
        return {job: [row["run_id"] for row in group["cells"]] for job, group in files.items()}


def in_the_midst(folder: Path) -> bool:
    if not (folder / "run.json").exists():
        return False
    record = json.loads((folder / "run.json").read_text())
    return record["status"] == "running" and any(folder.glob("checkpoint/step-*"))


def command(tiny: tuple[str, ...], *more: str) -> list[str]:
    return [sys.executable, str(REPOSITORY / "launch.py"), "-m", *tiny, *CELLS, "sweep.name=s", *more]


@pytest.fixture
def start(
    cluster: Cluster, tiny: tuple[str, ...], tmp_path: Path, shared_cache: Path
) -> Iterator[Callable[..., Sweep]]:
    """A function that starts the sweep on the cluster. Its runs are slow, without work, until they are released."""
    started: list[subprocess.Popen] = []
    environment = {
        **os.environ, **cluster.environment, "PERSONA_SWEEPS_CACHE": str(shared_cache), "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{SITE}{os.pathsep}{REPOSITORY}", "COLUMNS": "200", "FAULT": f"slow:{tmp_path / 'released'}",
    }  # fmt: skip
    (tmp_path / "released").mkdir()

    def begin(*more: str) -> Sweep:
        with open(tmp_path / "printed", "a") as output:
            process = subprocess.Popen(
                command(tiny, *ON_SLURM, *more), cwd=tmp_path, env=environment, stdout=output, stderr=output
            )
        started.append(process)
        return Sweep(cluster, process, tmp_path, set(), tmp_path / "released")

    yield begin
    for process in started:
        process.kill()
        process.wait()


def records(output: Path) -> dict[str, dict[str, Any]]:
    """Return the record of each run by its id, with its metrics."""
    found = [json.loads(path.read_text()) for path in output.glob("runs/*/run.json")]
    evaluations = [json.loads(path.read_text()) for path in output.glob("runs/*/evaluations/*.json")]
    metrics = {evaluation["run_id"]: evaluation["metrics"] for evaluation in evaluations}
    return {record["run_id"]: record | {"metrics": metrics.get(record["run_id"])} for record in found}


@pytest.mark.slow
def test_jobs_go_on_without_the_launcher_and_the_same_command_comes_back_to_them(start: Callable[..., Sweep]) -> None:
    """Through Ctrl-C, and a controller that doesn't answer for a while."""
    few = ("train.learning_rate=1e-3,2e-3,3e-3",)
    sweep = start(*few)
    first, _ = sweep.victim()
    sweep.process.send_signal(signal.SIGINT)
    assert sweep.process.wait(SECONDS) == 130
    assert "Jobs that go on: " in sweep.printed() and first.id in sweep.printed().split("Jobs that go on: ")[1]
    assert sweep.cluster.job(first.id).state == "RUNNING"
    before = len(sweep.cluster.jobs())
    again = start(*few)
    words = "is still there"  # the third at least, which waits for one of the first two to end
    sweep.cluster.wait(lambda: words in again.printed() or again.process.poll() is not None, SECONDS)
    assert words in again.printed()
    sweep.cluster.controller_down()
    sweep.release()
    sweep.cluster.controller_up()
    assert again.process.wait(SECONDS) == 0, again.printed()
    assert len(sweep.cluster.jobs()) == before, "no job was given twice"
    assert {record["status"] for record in records(sweep.output).values()} == {"completed"}
    for log in sweep.output.glob("runs/*/run.log"):
        assert log.read_text().count(" started") == 1


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("runs", [6, 12])
def test_runs_survive_a_cancelled_job_a_preemption_a_time_limit_and_a_dead_node(
    start: Callable[..., Sweep], tiny: tuple[str, ...], tmp_path: Path, launch: Callable, runs: int
) -> None:
    rates = f"train.learning_rate={','.join(RATES[:runs])}"
    sweep = start(rates)
    cluster = sweep.cluster

    late, late_run = sweep.victim()
    cluster.end_soon(late.id)  # SLURM looks at the time every half minute; meanwhile other things happen

    cancelled, run = sweep.victim()
    cluster.cancel(cancelled.id)
    sweep.release(run)

    preempted, run = sweep.victim()
    cluster.submit("sleep 3", "--partition=high", f"--nodelist={preempted.node}", "--cpus-per-task=4")
    cluster.wait(lambda: cluster.job(preempted.id).restarts == 1, SECONDS)
    sweep.release(run)

    dead, run = sweep.victim()
    cluster.node_down(dead.node)
    cluster.wait(lambda: cluster.job(dead.id).node != dead.node or cluster.job(dead.id).ended, SECONDS)
    cluster.node_up(dead.node)

    cluster.wait(lambda: cluster.job(late.id).restarts or cluster.job(late.id).ended, SECONDS)
    assert in_the_midst(late_run), "it was ended by its time limit"
    sweep.release()
    sweep.process.wait(3 * SECONDS)
    printed = sweep.printed()
    assert sweep.process.returncode == 1, printed
    ended = records(sweep.output)
    states = sorted(record["status"] for record in ended.values())
    assert states == ["completed"] * (runs - 1) + ["failed"], printed
    for record in ended.values():
        if record["status"] == "failed":
            assert "not a finite number" in record["failure"]["message"]
    assert not list(sweep.output.glob("runs/*/checkpoint/step-*")) and not list(sweep.output.glob("runs/*/lease"))
    scripts = [path.read_text() for path in sweep.output.glob("sweeps/s/jobs/*_submission.sh")]
    assert any(f"--array=0-{runs - 1}%2" in script for script in scripts), "two at once"
    solo = launch("-m", *tiny, *CELLS, rates, "output_dir=solo", "sweep.name=s")
    expected = records(solo.folder / "solo")
    assert ended.keys() == expected.keys()
    interrupted = 0
    for run_id, record in ended.items():
        for part in ("metrics", "training", "failure"):
            less = {"traceback_tail"}
            ours, theirs = record[part] or {}, expected[run_id][part] or {}
            assert {k: v for k, v in ours.items() if k not in less} == {
                k: v for k, v in theirs.items() if k not in less
            }, (run_id, part)
        interrupted += record["resources"].get("resumes", 0)
    assert interrupted >= 2, "those that were hit went on from where they were"


@pytest.mark.slow
@pytest.mark.long
def test_a_study_runs_on_the_cluster(
    cluster: Cluster, command: Callable, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    ended = command(
        "-m", *tiny, "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra.sweeper.final_seeds=1", "sweep.name=s",
        "metrics=[likelihood]", "group_size=2", *ON_SLURM, "hydra.launcher.cpus_per_job=1", folder=tmp_path,
        **cluster.environment, PYTHONPATH=str(REPOSITORY),
    )  # fmt: skip
    assert ended.code == 0, ended.err + ended.out
    assert "on test, 1 seed: " in ended.out
    rows = ended.sweep("s")
    assert len(rows) == 5 and sum(bool(row.get("final")) for row in rows) == 1
    assert {job.state for job in cluster.jobs()} == {"COMPLETED"} and len(cluster.jobs()) == 2


@pytest.mark.long
@pytest.mark.slow
def test_the_page_s_lines_work(cluster: Cluster, command: Callable, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """Those between two marks of docs/clusters.md, in their order, but for the installation; with tiny settings."""
    page = (REPOSITORY / "docs" / "clusters.md").read_text()
    block = page.split("<!-- slurm:begin -->")[1].split("<!-- slurm:end -->")[0]
    lines = [shlex.split(line) for line in block.splitlines() if line.startswith(".venv/bin/python ")]
    assert len(lines) == 4
    environment = {**cluster.environment, "PYTHONPATH": str(REPOSITORY)}
    for words in lines:
        if words[1] == "launch.py":
            ended = command(*words[2:], *tiny, *ON_SLURM, folder=tmp_path, **environment)
        else:
            ended = command(*words[3:], folder=tmp_path, python=("-m", "analysis"), **environment)
        assert ended.code == 0, ended.err
    assert "LoRA" in ended.out, "the last line prints tables"
