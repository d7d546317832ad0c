"""A lease is held by one process at a time, and released with it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from persona_sweeps.lifecycle import lease
from persona_sweeps.lifecycle.lease import Lease, acquire, holder
from tests.lifecycle.leases import (
    HOLD,
    REPOSITORY,
    said,
    take,
    who,
)

# Taking and releasing


def test_one_holds_and_others_get_none_until_it_releases(path: Path) -> None:
    first = take(path)
    assert first.held()
    first.check()
    assert acquire(path) is None
    first.release()
    assert not first.held()
    assert acquire(str(path)) is not None


def test_a_released_lease_leaves_nothing(path: Path) -> None:
    with take(path):
        assert os.listdir(path.parent) == ["lease"]
    assert os.listdir(path.parent) == []


def test_missing_folders_are_made(tmp_path: Path) -> None:
    with take(tmp_path / "runs" / "a" / "lease") as held:
        assert held.held()


def test_a_relative_path_stays_the_same_when_the_process_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    held = acquire("lease")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert held is not None and held.held()
    held.release()
    assert acquire(tmp_path / "lease") is not None


def test_release_twice_is_release_once_and_spares_the_next_owner(path: Path) -> None:
    first = take(path)
    first.release()
    second = take(path)
    first.release()
    assert second.held() and not first.held()
    second.release()


def test_of_many_threads_one_takes_it(path: Path) -> None:
    barrier = threading.Barrier(8)
    taken: list[Lease | None] = []

    def race() -> None:
        barrier.wait()
        taken.append(acquire(path))

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [held is not None for held in taken].count(True) == 1 and len(taken) == 8
    assert os.listdir(path.parent) == ["lease"]


def test_the_end_of_a_process_releases_what_it_held(path: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    ended = start(HOLD, path)
    assert said(ended)
    assert ended.stdin is not None
    ended.stdin.close()
    ended.wait()
    assert not path.exists()


def test_an_exception_that_ends_a_process_releases_too(path: Path) -> None:
    code = "import sys; from persona_sweeps.lifecycle.lease import acquire; 1 / (acquire(sys.argv[1]) is None)"
    ended = subprocess.run([sys.executable, "-c", code, path], cwd=REPOSITORY, capture_output=True, text=True)
    assert "ZeroDivisionError" in ended.stderr
    assert not path.exists()


# Who holds it


def test_holder_says_who_and_in_which_job(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert holder(path) is None
    monkeypatch.setattr(lease, "_job", None)
    lease.name_job("4711")
    with take(path) as held:
        found = who(path)
        assert (found.pid, found.job, found.alive, found.owner) == (os.getpid(), "4711", True, held.owner)
        assert found.host in str(found) and "job 4711" in str(found)
    assert holder(path) is None
