"""Two commands for the same sweep at once share its runs; when one is killed, the other does them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.processes import Command, children, kill
from tests.faults.results import OUTPUT, assert_equal, records, results, starts, steps_logged

LOCAL = ("hydra/launcher=local", "hydra.launcher.workers=1", "hydra.launcher.poll_seconds=0.1", "group_size=6")
"""one worker, which trains in a group what the other command hasn't begun"""


@pytest.mark.parametrize("second_launcher", [(), pytest.param(LOCAL, marks=pytest.mark.long)], ids=["fused", "local"])
def test_every_run_is_trained_once_and_both_end_with_all_results(
    start: Callable, six: tuple[str, ...], left_alone: Callable, tmp_path: Path, second_launcher: tuple[str, ...]
) -> None:
    commands: list[Command] = [start(tmp_path, *six), start(tmp_path, *six, *second_launcher)]
    for command in commands:
        assert command.wait() == 0, command.output
    assert_equal(results(tmp_path / OUTPUT), left_alone(*six), exactly=not second_launcher)
    for folder in (tmp_path / OUTPUT / "runs").iterdir():
        assert starts(folder) == [0], "it was trained once"
    assert commands[0].output.count("6 completed, 0 failed") == 2, "both print into one log, and both say so"


@pytest.mark.parametrize(
    "victim, second_launcher",
    [
        pytest.param(0, (), id="the-first-beside-one-of-its-kind", marks=pytest.mark.long),
        pytest.param(1, (), id="the-second-of-the-same-kind", marks=pytest.mark.long),
        pytest.param(0, LOCAL, id="the-first-beside-a-worker", marks=pytest.mark.long),
        pytest.param(1, LOCAL, id="the-second-and-its-worker", marks=pytest.mark.long),
    ],
)
def test_when_one_is_killed_the_other_takes_over(
    start: Callable, six: tuple[str, ...], left_alone: Callable, tmp_path: Path, victim: int, second_launcher: tuple
) -> None:
    commands: list[Command] = [start(tmp_path, *six), start(tmp_path, *six, *second_launcher)]
    commands[0].wait_for(lambda: steps_logged(tmp_path / OUTPUT) >= 60)
    for pid in children(commands[victim].pid):
        kill(pid)
    commands[victim].kill()
    survivor = commands[1 - victim]
    assert survivor.wait() == 0, survivor.output
    assert_equal(results(tmp_path / OUTPUT), left_alone(*six), exactly=not second_launcher)
    again = [run for run in (tmp_path / OUTPUT / "runs").iterdir() if len(starts(run)) > 1]
    assert len(again) <= 1 and len(records(tmp_path / OUTPUT)) == 6
