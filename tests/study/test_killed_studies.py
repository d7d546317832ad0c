"""A study that is killed again and again ends as if it had not been."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.study.test_studies import REPOSITORY, STUDY, size, trials_of

KILLS = 20
TRIALS = 10


def command(tiny: tuple[str, ...]) -> list[str]:
    return [sys.executable, str(REPOSITORY / "launch.py"), *STUDY, *tiny, *size(TRIALS, 1), "train.max_steps=6"]


def told(folder: Path) -> list[tuple]:
    trials = trials_of(folder / "multirun_outputs")
    return [(t.number, t.state.name, t.params, t.value, t.user_attrs.get("run_id")) for t in trials]


def killed_at_random(arguments: list[str], folder: Path, whole: float, seed: int) -> int:
    """Start the command over and over, killing it at random moments; return how often it could be killed."""
    rng, kills = random.Random(seed), 0
    while kills < KILLS:
        process = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + rng.uniform(0.2, 0.6) * whole
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    return kills


@pytest.mark.slow
def test_twenty_kills_change_nothing(tiny: tuple[str, ...], tmp_path: Path) -> None:
    """Exactly the trials asked for, none done twice, and the same values as an uninterrupted study's."""
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    arguments = command(tiny)
    started = time.monotonic()
    subprocess.run(arguments, cwd=tmp_path / "whole", check=True, capture_output=True)
    kills = killed_at_random(arguments, tmp_path / "killed", time.monotonic() - started, seed=0)
    ended = subprocess.run(arguments, cwd=tmp_path / "killed", capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert kills >= 3, "the study was over before it could be killed"
    assert told(tmp_path / "killed") == told(tmp_path / "whole")
    runs = (tmp_path / "killed" / "multirun_outputs").glob("runs/*/run.log")
    endings = Counter(
        (path.parent.name, line.split(" ")[1].rstrip(":"))
        for path in runs
        for line in path.read_text().splitlines()
        if line.split(" ")[1].rstrip(":") in ("completed", "pruned", "failed")
    )
    assert len(endings) == TRIALS and set(endings.values()) == {1}, "a finished run was trained again"
