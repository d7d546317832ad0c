"""A sweep that is killed while it predicts or scores trains nothing again, and ends as if nothing had been."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults.hits import hit_at
from tests.faults.results import (
    OUTPUT,
    Result,
    assert_equal,
    drafts,
    folder_of,
    records,
    results,
    saved_steps,
    starts,
    steps_logged,
)
from tests.faults.witness import Kept

MOMENTS = {
    "lines-without-a-head": ("predictions/*.json", 4),
    "all-but-one-predicted": ("predictions/*.jsonl", 12),
    "nothing-scored": ("evaluations/*.samples.jsonl", 1),
    "samples-without-an-evaluation": ("evaluations/*.json", 4),
}
"""which file is half written when the kill comes: six runs have twelve predictions and six evaluations"""


def assert_nothing_trained_again(output: Path) -> None:
    assert steps_logged(output) == 600
    for run_id, record in records(output).items():
        assert record["status"] == "completed" and starts(folder_of(output, run_id)) == [0]


@pytest.fixture(scope="module")
def trained(start: Callable, together: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What six runs leave behind that are killed as they are about to write their first predictions."""
    folder = tmp_path_factory.mktemp("trained")
    command = start(folder, *together, before=partial(hit_at, signal.SIGKILL, "predictions/*.jsonl", 1))
    assert command.wait() == -signal.SIGKILL, command.output
    assert_nothing_trained_again(folder / OUTPUT)
    assert len(drafts(folder / OUTPUT)) == 1 and not list((folder / OUTPUT).glob("runs/*/checkpoint"))
    return folder / OUTPUT


@pytest.fixture
def output(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return shutil.copytree(trained, tmp_path / OUTPUT)


def assert_as_left_alone(output: Path, expected: dict[str, Result]) -> None:
    assert_nothing_trained_again(output)
    assert_equal(results(output), expected)
    assert not drafts(output) and not list(output.glob("runs/*/lease"))


@pytest.mark.parametrize(
    "after",
    [pytest.param(False, id="before-its-record"), pytest.param(True, id="after-its-record", marks=pytest.mark.long)],
)
def test_a_kill_as_a_run_is_completed_leaves_nothing_behind(
    start: Callable, brief: tuple[str, ...], left_alone: Callable, tmp_path: Path, after: bool
) -> None:
    """With its record it is done; until then it goes on from its last checkpoint, whatever is in its folder."""
    output, one = tmp_path / OUTPUT, (*brief, "seed=0")
    killed = start(tmp_path, *one, before=partial(hit_at, signal.SIGKILL, "run.json", 2, after))
    assert killed.wait() == -signal.SIGKILL, killed.output
    [folder] = output.glob("runs/*")
    assert (folder / "adapter").is_dir() and saved_steps(output)
    again = start(tmp_path, *one)
    assert again.wait() == 0, again.output
    assert starts(folder) == ([0] if after else [0, starts(folder)[-1]]) and (after or starts(folder)[-1] > 0)
    assert_equal(results(output), left_alone(*one))
    assert not drafts(output) and not list(output.glob("runs/*/checkpoint"))


def test_a_kill_before_anything_is_predicted_costs_no_training(
    start: Callable, together: tuple[str, ...], left_alone: Callable, output: Path
) -> None:
    again = start(output.parent, *together)
    assert again.wait() == 0, again.output
    assert_as_left_alone(output, left_alone(*together))


@pytest.mark.parametrize(
    "moment",
    ["nothing-scored", *(pytest.param(name, marks=pytest.mark.long) for name in MOMENTS if name != "nothing-scored")],
)
def test_a_kill_while_predicting_or_scoring_costs_nothing_that_was_finished(
    start: Callable, together: tuple[str, ...], left_alone: Callable, output: Path, moment: str
) -> None:
    killed = start(output.parent, *together, before=partial(hit_at, signal.SIGKILL, *MOMENTS[moment]))
    assert killed.wait() == -signal.SIGKILL, killed.output
    assert len(drafts(output)) == 1, "the file that was under way"
    kept = Kept(output)
    kept.look()

    again = start(output.parent, *together)
    assert again.wait() == 0, again.output
    kept.look()
    assert_as_left_alone(output, left_alone(*together))


@pytest.mark.slow
@pytest.mark.long
def test_each_command_of_many_gets_a_little_further(
    start: Callable, together: tuple[str, ...], left_alone: Callable, output: Path
) -> None:
    """Each writes two heads of predictions, or evaluations, and is killed at the third: eighteen are to write."""
    kept, ends = Kept(output), []
    while not ends or ends[-1] != 0:
        command = start(output.parent, *together, before=partial(hit_at, signal.SIGKILL, "*ions/*.json", 3))
        ends.append(command.wait())
        kept.look()
    assert ends == [-signal.SIGKILL] * 8 + [0]
    assert_as_left_alone(output, left_alone(*together))
