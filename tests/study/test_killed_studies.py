"""A study that is killed again and again ends as if it had not been."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.processes import Command
from tests.faults.results import OUTPUT, progress
from tests.study.test_studies import SEVERAL, STUDY, size, trials_of

TRIALS = 10


def trials_in(folder: Path) -> list[tuple]:
    trials = trials_of(folder / "multirun_outputs")
    return [(t.number, t.state.name, t.params, t.values, t.user_attrs.get("run_id")) for t in trials]


def killed_at_random(start: Callable[[], Command], wanted: int) -> int:
    """Start a command over and over, killing it at random moments; return how often it could be killed."""
    rng, kills = random.Random(0), 0
    while kills < wanted:
        command = start()
        output = command.folder / OUTPUT
        point = progress(output) + rng.randint(0, 60)
        command.wait_for(lambda: progress(output) >= point)  # noqa: B023 - used before they change
        command.process.join(rng.uniform(0.0, 0.1))
        if not command.kill():
            break
        kills += 1
    return kills


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted, more",
    [
        (2, ()),
        pytest.param(20, (), marks=pytest.mark.long),
        pytest.param(3, (SEVERAL, "hydra.sweeper.sampler=nsga2"), marks=pytest.mark.long),
    ],
)
def test_kills_change_nothing(
    tiny: tuple[str, ...], tmp_path: Path, shared_cache: Path, wanted: int, more: tuple[str, ...]
) -> None:
    """Exactly the trials asked for, none done twice, and the same values as an uninterrupted study's."""

    def start(name: str) -> Command:
        arguments = [*STUDY, *tiny, *size(TRIALS, 1), "train.max_steps=90", *more]
        return Command(arguments, tmp_path / name, {"PERSONA_SWEEPS_CACHE": str(shared_cache)})

    assert start("whole").wait() == 0
    kills = killed_at_random(lambda: start("killed"), wanted)
    last = start("killed")
    assert last.wait() == 0, last.output
    assert kills >= min(wanted, 4), "the study was over before it could be killed"
    assert trials_in(tmp_path / "killed") == trials_in(tmp_path / "whole")
    runs = (tmp_path / "killed" / "multirun_outputs").glob("runs/*/run.log")
    endings = Counter(
        (path.parent.name, line.split(" ")[1].rstrip(":"))
        for path in runs
        for line in path.read_text().splitlines()
        if line.split(" ")[1].rstrip(":") in ("completed", "pruned", "failed")
    )
    assert len(endings) == TRIALS and set(endings.values()) == {1}, "a finished run was trained again"
