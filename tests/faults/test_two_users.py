"""Two people of one group share an output folder: what one began the other goes on with, and anyone may read."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from persona_sweeps.errors import TrialError
from persona_sweeps.training.checkpoint import newest
from tests.faults.results import OUTPUT, assert_equal, results, saved_steps, steps_logged

ANN, BEN, GROUP = 64101, 64102, 64100
"""ids that no user of a machine has"""
PR_SET_KEEPCAPS, CAPABILITIES_3, DAC_READ_SEARCH = 8, 0x20080522, 1 << 2
"""of Linux's prctl.h and capability.h"""

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can act for two users")


def act_as(user: int, mask: int = 0o002) -> None:
    """Go on as a user of the group, with a umask; it may read everything, since Python may be in another's home."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(GROUP)
    os.setuid(user)
    os.umask(mask)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0)
    kept = (ctypes.c_uint32 * 6)(DAC_READ_SEARCH, DAC_READ_SEARCH, 0, 0, 0, 0)
    if libc.capset(header, kept):
        raise OSError(ctypes.get_errno(), "capset")


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
    cache = shared / "cache"
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


def test_a_checkpoint_that_may_not_be_read_is_left_alone(shared: Path) -> None:
    path = shared / "step-000007"
    path.mkdir(mode=0o755)
    (path / "state.json").write_text("{}")
    (path / "state.json").chmod(0o600)
    os.seteuid(BEN)
    try:
        with pytest.raises(TrialError, match="state.json can't be read for want of permission: ask the user"):
            newest(shared, "0123456789")
    finally:
        os.seteuid(0)
    assert (path / "state.json").exists(), "it is neither renamed nor replaced"
