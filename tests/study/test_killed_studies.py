"""A study that is killed again and again ends as if it had not been."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.processes import Command
from tests.faults.results import OUTPUT, steps_logged
from tests.study.test_studies import STUDY, size, trials_of

KILLS = int(os.environ.get("PERSONA_SWEEPS_KILLS", 20))
TRIALS = 10


def told(folder: Path) -> list[tuple]:
    trials = trials_of(folder / "multirun_outputs")
    return [(t.number, t.state.name, t.params, t.value, t.user_attrs.get("run_id")) for t in trials]


def killed_at_random(start: Callable[[], Command], seed: int) -> int:
    """Start a command over and over, killing it at random moments; return how often it could be killed."""
    rng, kills = random.Random(seed), 0
    while kills < KILLS:
        command = start()
        output = command.folder / OUTPUT
        steps = steps_logged(output) + rng.randint(0, 25)
        command.wait_for(lambda: steps_logged(output) >= steps)  # noqa: B023 - used before they change
        command.process.join(rng.uniform(0.0, 0.1))
        if not command.kill():
            break
        kills += 1
    return kills


@pytest.mark.slow
def test_kills_change_nothing(tiny: tuple[str, ...], tmp_path: Path, shared_cache: Path) -> None:
    """Exactly the trials asked for, none done twice, and the same values as an uninterrupted study's."""

    def start(name: str) -> Command:
        arguments = [*STUDY, *tiny, *size(TRIALS, 1), "train.max_steps=90"]
        return Command(arguments, tmp_path / name, {"PERSONA_SWEEPS_CACHE": str(shared_cache)})

    assert start("whole").wait() == 0
    kills = killed_at_random(lambda: start("killed"), seed=0)
    last = start("killed")
    assert last.wait() == 0, last.output
    assert kills >= 4, "the study was over before it could be killed"
    assert told(tmp_path / "killed") == told(tmp_path / "whole")
    runs = (tmp_path / "killed" / "multirun_outputs").glob("runs/*/run.log")
    endings = Counter(
        (path.parent.name, line.split(" ")[1].rstrip(":"))
        for path in runs
        for line in path.read_text().splitlines()
        if line.split(" ")[1].rstrip(":") in ("completed", "pruned", "failed")
    )
    assert len(endings) == TRIALS and set(endings.values()) == {1}, "a finished run was trained again"
