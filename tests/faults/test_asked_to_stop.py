"""A command that is asked to stop saves what it trains, says so, and goes on from there as if nothing had been."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from persona_sweeps.cli.launch import KEPT
from persona_sweeps.lifecycle.stopping import EXIT_CODE, INTERRUPTED
from tests.faults.hits import hit_at
from tests.faults.processes import Command, children, runs
from tests.faults.results import (
    OUTPUT,
    assert_equal,
    drafts,
    evaluations,
    folder_of,
    records,
    results,
    saved_steps,
    starts,
    steps_logged,
)


def in_training(folder: Path, steps: int = 60) -> Callable[[], bool]:
    return lambda: steps_logged(folder / OUTPUT) >= steps


def printed(command: Command, text: str) -> Callable[[], bool]:
    return lambda: text in command.output


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)], ids=lambda n: n.name
)
def test_a_group_in_training_is_saved_and_goes_on_to_the_same_bits(
    start: Callable, together: tuple[str, ...], left_alone: Callable, tmp_path: Path, number: signal.Signals
) -> None:
    first = start(tmp_path, *together)
    first.wait_for(in_training(tmp_path))
    first.send(number)
    assert first.wait() == (INTERRUPTED if number is signal.SIGINT else EXIT_CODE)
    assert f"Stopped by {number.name}. {KEPT}" in first.output and "Traceback" not in first.output
    saved = saved_steps(tmp_path / OUTPUT)
    assert len(saved) == 6 and len(set(saved)) == 1, "all six were at the same step"
    assert not list((tmp_path / OUTPUT).glob("runs/*/lease")), "whoever comes next need not wait"

    second = start(tmp_path, *together)
    assert second.wait() == 0, second.output
    assert_equal(results(tmp_path / OUTPUT), left_alone(*together))
    for run_id, record in records(tmp_path / OUTPUT).items():
        assert record["resources"]["resumes"] == 1
        assert starts(folder_of(tmp_path / OUTPUT, run_id)) == [0, saved[0]]
    assert not list((tmp_path / OUTPUT).glob("runs/*/checkpoint"))


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP], ids=lambda n: n.name)
def test_every_signal_that_asks_has_a_run_saved(
    start: Callable, brief: tuple[str, ...], tmp_path: Path, number: signal.Signals
) -> None:
    command = start(tmp_path, *brief, "seed=0")
    command.wait_for(in_training(tmp_path, 10))
    command.send(number)
    assert command.wait() == EXIT_CODE
    assert f"Stopped by {number.name}. {KEPT}" in command.output and "Traceback" not in command.output
    [saved] = saved_steps(tmp_path / OUTPUT)
    assert saved == steps_logged(tmp_path / OUTPUT) and not list((tmp_path / OUTPUT).glob("runs/*/lease"))


@pytest.mark.parametrize("moment", [pytest.param(word, marks=pytest.mark.long) for word in ("Sweep ", "Loading")])
def test_before_training_a_request_is_met_at_once(
    start: Callable, together: tuple[str, ...], left_alone: Callable, tmp_path: Path, moment: str
) -> None:
    first = start(tmp_path, *together)
    first.wait_for(printed(first, moment))
    first.send(signal.SIGTERM)
    assert first.wait() == EXIT_CODE, first.output
    assert f"Stopped by SIGTERM. {KEPT}" in first.output

    second = start(tmp_path, *together)
    assert second.wait() == 0, second.output
    assert_equal(results(tmp_path / OUTPUT), left_alone(*together))


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(("predictions/*.jsonl", 3), id="predict", marks=pytest.mark.long),
        pytest.param(("evaluations/*.json", 3), id="score"),
    ],
)
def test_after_training_a_request_is_met_at_once_and_nothing_is_trained_again(
    start: Callable, together: tuple[str, ...], left_alone: Callable, tmp_path: Path, moment: tuple[str, int]
) -> None:
    output = tmp_path / OUTPUT
    first = start(tmp_path, *together, before=partial(hit_at, signal.SIGTERM, *moment))
    assert first.wait() == EXIT_CODE, first.output
    assert f"Stopped by SIGTERM. {KEPT}" in first.output and "Traceback" not in first.output
    assert {record["status"] for record in records(output).values()} == {"completed"}
    assert not list(output.glob("runs/*/lease")) and not drafts(output)
    assert len(evaluations(output)) == (2 if moment[0].startswith("evaluations") else 0)

    second = start(tmp_path, *together)
    assert second.wait() == 0, second.output
    assert steps_logged(output) == 600 and not any("resumes" in r["resources"] for r in records(output).values())
    assert_equal(results(output), left_alone(*together))


def test_a_second_ctrl_c_ends_at_once(start: Callable, brief: tuple[str, ...], tmp_path: Path) -> None:
    """The first is met after a step; within a long one the second doesn't wait for it."""
    slow = ("train.batch_size=4000", "train.micro_batch_size=2", "train.max_steps=null", "train.epochs=400")
    command = start(tmp_path, *brief, *slow, f"dataset.path={long_dialogue(tmp_path)}", "train.eval_every=0")
    command.wait_for(lambda: list((tmp_path / OUTPUT).glob("runs/*/run.log")))
    command.send(signal.SIGINT)
    command.process.join(1.0)
    command.send(signal.SIGINT)
    assert command.wait() == 130
    assert "Interrupted at once" in command.output and "Traceback" not in command.output


def long_dialogue(folder: Path) -> Path:
    from tests.conftest import write_dialogue

    return write_dialogue(folder / "long.jsonl", lines=6000)


@pytest.mark.slow
@pytest.mark.long
def test_workers_are_saved_with_their_launcher(
    start: Callable, brief: tuple[str, ...], left_alone: Callable, tmp_path: Path
) -> None:
    two = (*brief, "seed=0,1", "train.max_steps=300", "group_size=1")
    local = (*two, "hydra/launcher=local", "hydra.launcher.workers=2", "hydra.launcher.poll_seconds=0.1")
    first = start(tmp_path, *local)
    first.wait_for(in_training(tmp_path))
    workers = children(first.pid)
    first.send(signal.SIGINT)
    assert first.wait() == INTERRUPTED, first.output
    assert f"Stopped by SIGINT. {KEPT}" in first.output
    assert workers and not any(runs(pid) for pid in workers)
    assert saved_steps(tmp_path / OUTPUT)

    second = start(tmp_path, *two)
    assert second.wait() == 0, second.output
    assert_equal(results(tmp_path / OUTPUT), left_alone(*two))
