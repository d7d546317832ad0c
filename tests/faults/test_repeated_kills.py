"""Sweeps that are killed again and again lose nothing that was finished, and end as if nothing had been."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.processes import PATIENCE, Command, children, kill, runs
from tests.faults.results import OUTPUT, assert_equal, drafts, lines, progress, results, saved_steps
from tests.faults.witness import Kept, Witness


def killed(command: Command, rng: random.Random) -> int:
    """Kill a command at a random moment, early or in the middle of its work; return how many processes that hit."""
    output = command.folder / OUTPUT
    if rng.random() < 0.3:
        command.process.join(rng.uniform(0.0, 1.5))
    else:
        point = progress(output) + rng.randint(1, 60)
        command.wait_for(lambda: progress(output) >= point)
        command.process.join(rng.uniform(0.0, 0.05))
    return command.kill()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("wanted", [2, 90])
def test_kills_of_the_process_that_trains(
    start: Callable, six: tuple[str, ...], left_alone: Callable, tmp_path: Path, wanted: int
) -> None:
    rng, kills, sweeps = random.Random(0), 0, 0
    while kills < wanted:
        folder = tmp_path / str(sweeps)
        sweeps += 1
        witness = Witness(folder / OUTPUT)
        while kills < wanted and (hit := killed(start(folder, *six), rng)):
            kills += hit
            witness.look()
        last = start(folder, *six)
        assert last.wait() == 0, last.output
        witness.look()
        assert len(witness.completed) == 6
        assert_equal(results(folder / OUTPUT), left_alone(*six))
        assert not drafts(folder / OUTPUT)
    assert sweeps >= 2 or wanted < 90, "no sweep was ever completed between the kills"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("wanted", [1, 10])
def test_kills_of_workers_and_of_their_launcher(
    start: Callable, six: tuple[str, ...], left_alone: Callable, tmp_path: Path, wanted: int
) -> None:
    """By turns, so that even a few kills hit a launcher, a worker, and both at once."""
    settings = ("workers=2", "max_retries=100", "poll_seconds=0.1")
    local = (*six, "group_size=3", "hydra/launcher=local", *(f"hydra.launcher.{setting}" for setting in settings))
    rng, output = random.Random(1), tmp_path / OUTPUT
    kept, kills = Kept(output), 0
    kinds = itertools.cycle(["worker", "launcher", "all"])
    command = start(tmp_path, *local)
    while kills < wanted:
        point = progress(output) + rng.randint(1, 80)
        if not command.wait_for(lambda: progress(output) >= point):  # noqa: B023 - used before it changes
            break
        kept.look()
        workers, held = children(command.pid), in_training(output)
        kind = next(kinds)
        if kind == "worker":
            kills += kill(rng.choice(workers)) if workers else 0
            continue
        kills += command.kill(tree=kind == "all")
        gone(workers)
        if kind == "launcher":
            assert_saved(output, [folder for folder, pid in held.items() if pid in workers])
        command = start(tmp_path, *local)
    assert kills >= min(wanted, 5), "it was over before it could be killed"
    assert command.wait() == 0, command.output
    kept.look()
    assert_equal(results(output), left_alone(*six), exactly=False)


def in_training(output: Path) -> dict[Path, int]:
    """Return the folder of each run that a process has, and that process."""
    held = {}
    for lease in output.glob("runs/*/lease/*"):
        try:
            held[lease.parent.parent] = int(json.loads(lease.read_text())["pid"])
        except FileNotFoundError:
            continue
    return held


def gone(pids: list[int]) -> None:
    """Wait until these processes have ended."""
    deadline = time.monotonic() + PATIENCE
    while any(runs(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker outlives its launcher"
        time.sleep(0.02)


def assert_saved(output: Path, folders: list[Path]) -> None:
    """Each run has a checkpoint of its last step, or is completed."""
    for folder in folders:
        record = json.loads((folder / "run.json").read_text())
        steps = len(lines(folder / "history.jsonl"))
        if steps and record["status"] != "completed":
            assert saved_steps(output, folder.name)[-1:] == [steps], folder
