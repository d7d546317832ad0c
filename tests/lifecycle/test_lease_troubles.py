"""Files that tell nothing, leases that are lost, forks, and file systems that refuse."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_sweeps.lifecycle import lease
from persona_sweeps.lifecycle.lease import LeaseLost, acquire, break_dead, holder
from tests.lifecycle.leases import (
    PATIENCE,
    REPOSITORY,
    said,
    take,
    taken_after_standing_still,
    this_process,
    who,
    written,
)

# Files that tell nothing


UNREADABLE = [b"", b"{", b"[]", b"\0" * 64, b"[" * 10**5, b'{"pid": "7"}', b'{"pid": 1e3}', b'{"pid": true}']


@pytest.mark.parametrize("text", UNREADABLE, ids=lambda text: repr(text[:16]))
def test_an_owner_that_cannot_be_read_is_one_elsewhere(path: Path, quick: None, text: bytes) -> None:
    begun = time.monotonic()
    written(path, text)
    found = who(path)
    assert (found.pid, found.alive) == (0, None) and "can't be read" in str(found)
    taken_after_standing_still(path, begun)


@pytest.mark.parametrize("pid", [0, -1, 2**31, 10**30])
def test_an_impossible_pid_is_not_looked_up(path: Path, pid: int) -> None:
    written(path, this_process(pid=pid))
    assert who(path).alive is None


@settings(max_examples=50, deadline=None)
@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.dictionaries(st.sampled_from(["host", "pid", "job", "since", "started"]), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_content_of_a_lease_file_is_dead_at_once_or_an_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder) / "lease", content)
        assert acquire(Path(folder) / "lease") is None
        assert str(holder(Path(folder) / "lease"))


def test_an_empty_folder_is_free(path: Path) -> None:
    path.mkdir()
    with take(path) as held:
        assert held.held()


def test_drafts_of_dead_processes_are_cleared_away_and_those_of_the_living_stay(path: Path) -> None:
    dead = written(path.with_name(".lease-dead"), this_process(started="1"))
    living = written(path.with_name(".lease-living"), this_process())
    for file in (dead, living):
        file.rename(file.with_name(file.parent.name.removeprefix(".lease-")))
    with take(path):
        assert sorted(os.listdir(path.parent)) == [".lease-living", "lease"]


# Breaking and losing


def test_a_supervisor_breaks_the_lease_of_the_owner_it_means_and_no_other(path: Path) -> None:
    file = written(path, this_process(boot="another"))
    assert not break_dead(path, "someone")
    assert break_dead(path, file.name)
    assert not break_dead(path, file.name)
    with take(path) as held:
        assert not break_dead(path, file.name)
        assert held.held()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_lost_lease_is_never_made_again(path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT", 0.01)
    held = take(path)
    assert break_dead(path, held.owner)
    other = acquire(path) if replaced else None
    time.sleep(0.1)
    assert not held.held()
    with pytest.raises(LeaseLost, match="held by process" if replaced else "nobody holds it"):
        held.check()
    held.release()
    assert path.exists() == replaced
    if other:
        assert other.held()
        other.release()


# Forks


FORK = """
import os, sys, threading, time
from persona_sweeps.lifecycle import lease
lease.HEARTBEAT = 0.01
held = lease.acquire(sys.argv[1])
if not os.fork():
    assert not held.held() and threading.active_count() == 1
    held.release()
    assert lease.acquire(sys.argv[1]) is None
    with lease.acquire(sys.argv[1] + "-child") as own:
        own.check()
        begun = os.stat(own.path / own.owner).st_mtime_ns
        while os.stat(own.path / own.owner).st_mtime_ns == begun:
            time.sleep(0.01)  # its own heart beats
    try:
        held.check()
    except lease.LeaseLost:
        sys.exit(7)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
held.check()
os.kill(os.getpid(), 9)
"""


def test_a_forked_child_neither_holds_nor_releases_its_parents_lease(path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(path)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


FORK_THAT_OUTLIVES = """
import os, sys, time
from persona_sweeps.lifecycle import lease
held = lease.acquire(sys.argv[1])
child = os.fork()
if not child:
    time.sleep(600)
print(child, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_child_that_outlives_its_parent_does_not_keep_the_lease(
    path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start(FORK_THAT_OUTLIVES, path)
    child = int(said(process))
    try:
        process.wait()
        with take(path) as held:
            assert held.held()
    finally:
        os.kill(child, signal.SIGKILL)


# A file system that refuses


READ_ONLY = """
import os, sys
from persona_sweeps.lifecycle.lease import acquire
if not os.geteuid():
    os.seteuid(65534)
try:
    acquire(sys.argv[1])
except PermissionError:
    sys.exit(7)
"""


def test_a_read_only_folder_is_a_plain_error() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
        ended = subprocess.run([sys.executable, "-c", READ_ONLY, f"{folder}/lease"], cwd=REPOSITORY)
        os.chmod(folder, stat.S_IRWXU)
        assert ended.returncode == 7


FULL = """
import resource, sys
from persona_sweeps.lifecycle.lease import acquire
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    acquire(sys.argv[1])
except OSError:
    sys.exit(7)
"""


@pytest.mark.parametrize("dead", [False, True])
def test_a_disk_without_room_is_a_plain_error_and_leaves_all_as_it_was(path: Path, dead: bool) -> None:
    if dead:
        written(path, this_process(started="1"))
    ended = subprocess.run([sys.executable, "-c", FULL, path], cwd=REPOSITORY)
    assert ended.returncode == 7
    assert os.listdir(path.parent) == (["lease"] if dead else [])
    assert acquire(path) is not None


def test_a_file_in_the_place_of_a_lease_is_a_plain_error(path: Path) -> None:
    path.touch()
    with pytest.raises(NotADirectoryError):
        acquire(path)
    assert path.exists()
