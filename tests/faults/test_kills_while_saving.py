"""A kill between two members' checkpoints leaves a group that goes on from where all of them were saved."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults.hits import hit_at
from tests.faults.results import OUTPUT, assert_equal, results, saved_steps, starts

LONG = pytest.mark.long


@pytest.mark.parametrize(
    "written",
    [4, *(pytest.param(n, marks=LONG) for n in (1, 6 + 1, 6 + 5))],
    ids=lambda count: f"after-{count}-checkpoints",
)
def test_a_kill_while_a_group_is_saved_changes_no_bit(
    start: Callable, together: tuple[str, ...], left_alone: Callable, tmp_path: Path, written: int
) -> None:
    """Some of six runs then have a newer checkpoint than the others; all go on from the last one that is common."""
    killed = start(
        tmp_path,
        *together,
        "checkpoint_seconds=0.02",
        before=partial(hit_at, signal.SIGKILL, "checkpoint/step-*", written, after=True),
    )
    assert killed.wait() == -signal.SIGKILL, killed.output
    assert len(set(saved_steps(tmp_path / OUTPUT))) == (1 if written < 6 else 2)
    again = start(tmp_path, *together)
    assert again.wait() == 0, again.output
    began = [starts(folder) for folder in (tmp_path / OUTPUT / "runs").iterdir()]
    assert len({steps[-1] for steps in began}) == 1 and (began[0][-1] > 0) == (written > 6)
    assert_equal(results(tmp_path / OUTPUT), left_alone(*together))
