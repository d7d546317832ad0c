"""Two people of one group share an output folder: what one began the other goes on with, and anyone may read."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.results import OUTPUT, assert_equal, results, saved_steps, steps_logged

ANN, BEN, GROUP = 64101, 64102, 64100
"""ids that no user of a machine has"""

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can act for two users")


def act_as(user: int, mask: int = 0o002) -> None:
    """Go on as a user of the group, with a umask."""
    os.setgroups([])
    os.setgid(GROUP)
    os.setuid(user)
    os.umask(mask)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that both may write, and whose parents both may enter."""
    folder = Path(tempfile.mkdtemp(prefix="two-users-"))
    os.chown(folder, ANN, GROUP)
    folder.chmod(0o2775)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def sweep(brief: tuple[str, ...], dialogue: Path, shared: Path) -> tuple[str, ...]:
    path = shared / "dialogue.jsonl"
    shutil.copy(dialogue, path)
    path.chmod(0o644)
    return (*(word for word in brief if not word.startswith("dataset.path=")), f"dataset.path={path}", "seed=0")


def begin(start: Callable, shared: Path, user: int, *words: str) -> object:
    cache = shared / f"cache-{user}"
    return start(shared, *words, before=partial(act_as, user), PERSONA_SWEEPS_CACHE=str(cache), HOME=str(cache))


@pytest.mark.slow
def test_one_goes_on_where_the_other_was_killed(
    start: Callable, sweep: tuple[str, ...], left_alone: Callable, shared: Path
) -> None:
    first = begin(start, shared, ANN, *sweep)
    assert first.wait_for(lambda: saved_steps(shared / OUTPUT) and steps_logged(shared / OUTPUT) >= 30), first.output
    first.send(signal.SIGKILL)
    first.wait()
    second = begin(start, shared, BEN, *sweep)
    assert second.wait() == 0, second.output
    assert "goes on from step" in second.output and "set aside" not in second.output
    assert_equal(results(shared / OUTPUT), left_alone(*sweep))
    for path in (shared / OUTPUT).rglob("*"):
        assert path.stat().st_mode & (0o055 if path.is_dir() else 0o044) == (0o055 if path.is_dir() else 0o044), path
    (adapter,) = (shared / OUTPUT).glob("runs/*/adapter/adapter_model.safetensors")
    assert adapter.stat().st_uid == BEN and adapter.stat().st_mode & stat.S_IRGRP


@pytest.mark.slow
def test_a_checkpoint_that_may_not_be_read_is_left_alone(start: Callable, sweep: tuple[str, ...], shared: Path) -> None:
    first = begin(start, shared, ANN, *sweep)
    assert first.wait_for(lambda: saved_steps(shared / OUTPUT)), first.output
    first.send(signal.SIGTERM)
    first.wait()
    [state] = (shared / OUTPUT).glob("runs/*/checkpoint/step-*/state.json")
    state.chmod(0o600)
    second = begin(start, shared, BEN, *sweep)
    assert second.wait() == 1, second.output
    assert "for want of permission: ask the user who trained it" in second.output and "Traceback" not in second.output
    assert state.exists(), "it is neither renamed nor replaced"
    state.chmod(0o644)
    third = begin(start, shared, BEN, *sweep)
    assert third.wait() == 0 and "goes on from step" in third.output, third.output
