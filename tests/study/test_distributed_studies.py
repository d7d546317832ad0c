"""Studies whose trials are trained by several jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.study.test_studies import REPOSITORY, STUDY, record_of, size, states, trials_of

LOCAL = ("hydra/launcher=local", "hydra.launcher.workers=2", "hydra.launcher.poll_seconds=0.2")


@pytest.mark.long
@pytest.mark.slow
def test_workers_share_a_study_and_its_winner_is_scored_on_test(
    command: Callable, launch: Callable, tiny: tuple, tmp_path: Path
) -> None:
    ended = command(*STUDY, *tiny, *size(6, 1), *LOCAL, "hydra.sweeper.final_seeds=1", folder=tmp_path)
    assert ended.code == 0, ended.err
    trials = trials_of(ended.output)
    assert [trial.number for trial in trials] == list(range(6)) and all(t.state.is_finished() for t in trials)
    assert "on test, 1 seed: " in ended.out and "Best: trial" in ended.out
    assert len(list(ended.output.glob("sweeps/s/jobs/*.log"))) == 2
    assert not list(ended.output.glob("sweeps/s/groups/*")) and not list(ended.output.glob("sweeps/s/workers.json"))
    again = launch(*STUDY, *tiny, *size(6, 1), *LOCAL, "hydra.sweeper.final_seeds=1")
    assert again.code == 0 and "Jobs at work" not in again.out, "nothing is left to do"


@pytest.mark.slow
@pytest.mark.long
def test_a_killed_worker_is_replaced_and_loses_no_trial(tiny: tuple, tmp_path: Path, shared_cache: Path) -> None:
    arguments = (*STUDY, *tiny, *size(4, 1), *LOCAL, "train.max_steps=200", "hydra.sweeper.pruner=none")
    process = subprocess.Popen(
        [sys.executable, str(REPOSITORY / "launch.py"), *arguments, "checkpoint_seconds=0.3"],
        cwd=tmp_path,
        env={**os.environ, "PERSONA_SWEEPS_CACHE": str(shared_cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = tmp_path / "multirun_outputs"
    deadline = time.monotonic() + 200
    while not (saved := list(output.glob("runs/*/checkpoint/step-*"))):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    owner = next(saved[0].parents[1].glob("lease/*")).read_text()
    os.kill(int(owner.split('"pid": ')[1].split(",")[0]), signal.SIGKILL)
    printed = process.communicate(timeout=300)[0]
    assert process.returncode == 0, printed
    assert "killed by SIGKILL" in printed
    trials = trials_of(output)
    assert states(trials) == ["COMPLETE"] * 4
    assert sum(record_of(output, trial)["resources"].get("resumes", 0) for trial in trials) >= 1


@pytest.mark.slow
@pytest.mark.long
def test_the_jobs_of_a_study_without_a_name_work_on_that_study(command: Callable, tiny: tuple, tmp_path: Path) -> None:
    nameless = [text for text in STUDY if not text.startswith("sweep.name=")]
    ended = command(*nameless, *tiny, *size(2, 1), *LOCAL, "hydra.sweeper.final_seeds=0", folder=tmp_path)
    assert ended.code == 0, ended.err
    [folder] = (ended.output / "sweeps").iterdir()
    assert (folder / "study.log").is_file() and "2 completed" in ended.out
