"""A run whose process dies every time takes nothing with it, and fails with what is known of its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import SITE
from tests.faults.results import OUTPUT, assert_equal, folder_of, records, results, starts

LOCAL = ("hydra/launcher=local", "hydra.launcher.workers=1", "hydra.launcher.poll_seconds=0.1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault, end, retries",
    [
        pytest.param("kill:1", "killed by SIGKILL", 1, id="kill", marks=pytest.mark.long),
        pytest.param("exit:1", "exit code 3 (", 0, id="exit"),
    ],
)
def test_a_run_that_kills_its_process_fails_alone_after_so_many_tries(
    start: Callable, tiny: tuple[str, ...], left_alone: Callable, tmp_path: Path, fault: str, end: str, retries: int
) -> None:
    sweep = ("-m", *tiny, "seed=0,1", "train.max_steps=8", "group_size=2")
    local = (*sweep, *LOCAL, f"hydra.launcher.max_retries={retries}")
    first = start(tmp_path, *local, FAULT=fault, PYTHONPATH=str(SITE))
    assert first.wait() == 1 and "Traceback" not in first.output
    runs = {record["config"]["seed"]: record for record in records(tmp_path / OUTPUT).values()}
    assert {seed: run["status"] for seed, run in runs.items()} == {0: "completed", 1: "failed"}
    message = runs[1]["failure"]["message"]
    assert f"its job was lost {retries + 2 if not retries else retries + 1} times, the last: {end}" in message
    assert message in first.output
    tries = starts(folder_of(tmp_path / OUTPUT, runs[1]["run_id"]))
    assert len(tries) == max(2, retries + 1), "once in the group, and solo at least once"

    if fault.startswith("exit"):
        assert "the pipes have burst" in message
        return
    second = start(tmp_path, *local)
    assert second.wait() == 0, second.output
    assert "1 done already, 1 to run" in second.output
    assert_equal(results(tmp_path / OUTPUT), left_alone(*sweep), exactly=False)


@pytest.mark.slow
@pytest.mark.long
def test_a_run_that_hangs_is_ended_and_fails_alone_with_where_it_stood(
    start: Callable, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    hung = start(
        tmp_path, "-m", *tiny, "seed=0,1", "train.max_steps=8", "group_size=1", *LOCAL, "hydra.launcher.max_retries=0",
        "hydra.launcher.stall_seconds=15", FAULT="hang:1", PYTHONPATH=str(SITE),
    )  # fmt: skip
    assert hung.wait() == 1, hung.output
    runs = {record["config"]["seed"]: record for record in records(tmp_path / OUTPUT).values()}
    assert {seed: run["status"] for seed, run in runs.items()} == {0: "completed", 1: "failed"}
    message = runs[1]["failure"]["message"]
    assert "the last: it stood still for 0:00:15, in line" in message and "sitecustomize.py" in message
    log = Path(message.split("; ")[1].split(" has where")[0])
    assert "in fatal" in (tmp_path / log).read_text(), "the whole stack is in the log"
