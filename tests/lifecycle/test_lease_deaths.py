"""The dead don't hold a lease, here at once and elsewhere after a while; the living always do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.lifecycle import lease
from persona_sweeps.lifecycle.lease import acquire, break_dead
from tests.lifecycle.leases import (
    HOLD,
    PATIENCE,
    asked,
    killed,
    said,
    take,
    taken_after_standing_still,
    this_process,
    until_taken,
    who,
    written,
)

# Death on this machine


def test_a_killed_process_is_dead_at_the_first_look(path: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start(HOLD, path)
    owner = said(process)
    assert acquire(path) is None
    killed(process)
    found = who(path)
    assert (found.owner, found.alive) == (owner, False)
    with take(path) as held:
        assert os.listdir(path) == [held.owner]


def test_a_dead_process_that_nobody_waited_for_is_dead(path: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start(HOLD, path)
    said(process)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with until_taken(path) as held:
        assert held.held()


def test_a_process_that_has_the_pid_of_a_dead_one_is_not_taken_for_it(path: Path) -> None:
    written(path, this_process(started="1"))
    assert who(path).alive is False
    with take(path) as held:
        assert held.held()


def test_a_stopped_process_of_this_machine_keeps_its_lease(
    path: Path, quick: None, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start(HOLD, path)
    said(process)
    process.send_signal(signal.SIGSTOP)
    for _ in range(8):
        assert acquire(path) is None
        time.sleep(lease.STALE_AFTER / 4)
    process.send_signal(signal.SIGCONT)
    assert asked(process) == "held"


# Death elsewhere


ELSEWHERE: list[dict[str, Any]] = [{"boot": "another"}, {"host": "another"}, {"namespace": "pid:[1]"}, {"boot": None}]


@pytest.mark.parametrize("where", ELSEWHERE, ids=str)
def test_a_silent_owner_elsewhere_is_dead_after_a_while(path: Path, quick: None, where: dict[str, Any]) -> None:
    begun = time.monotonic()
    written(path, this_process(pid=2**31 - 1, **where))
    assert who(path).alive is None
    taken_after_standing_still(path, begun)


@pytest.mark.parametrize("jump", [0, -(10**9), 10**9], ids=["steady", "back", "ahead"])
def test_an_owner_elsewhere_that_beats_lives_whatever_its_clock_says(path: Path, quick: None, jump: int) -> None:
    file = written(path, this_process(boot="another"))
    for beat in range(12):
        begun = time.monotonic()
        at = time.time() + beat + jump * (beat % 2)
        os.utime(file, (at, at))
        assert acquire(path) is None
        time.sleep(lease.STALE_AFTER / 4)
    assert who(path).alive is True
    taken_after_standing_still(path, begun)


@pytest.mark.parametrize("at", [0, 4 * 10**9], ids=["1970", "2096"])
def test_an_old_or_future_mtime_proves_nothing(path: Path, quick: None, at: int) -> None:
    begun = time.monotonic()
    os.utime(written(path, this_process(boot="another")), (at, at))
    assert acquire(path) is None
    taken_after_standing_still(path, begun)


def test_one_long_pause_between_two_looks_kills_nobody(path: Path, quick: None) -> None:
    """As after a server that hung, for the owner as for the observer."""
    written(path, this_process(boot="another"))
    assert acquire(path) is None
    time.sleep(3 * lease.STALE_AFTER)
    assert acquire(path) is None
    time.sleep(lease.STALE_AFTER)
    assert acquire(path) is not None


def test_a_lease_taken_anew_is_observed_anew(path: Path, quick: None) -> None:
    first = written(path, this_process(boot="another"))
    first_seen = first.stat().st_mtime_ns
    end = time.monotonic() + PATIENCE
    while who(path).alive is None and time.monotonic() < end:
        time.sleep(0.01)
    assert break_dead(path, first.name)
    begun = time.monotonic()
    second = written(path, this_process(boot="another"))
    os.utime(second, ns=(first_seen, first_seen))
    taken_after_standing_still(path, begun)


def test_a_held_lease_is_refreshed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT", 0.01)
    with take(path) as held:
        seen: set[int] = set()
        end = time.monotonic() + PATIENCE
        while len(seen) < 4 and time.monotonic() < end:
            seen.add((path / held.owner).stat().st_mtime_ns)
            time.sleep(0.01)
    assert len(seen) == 4


def test_the_lease_of_a_real_process_elsewhere_is_taken_once_it_is_killed(
    path: Path, quick: None, start: Callable[..., subprocess.Popen[str]]
) -> None:
    (path.parent / "boot").write_text("another\n")
    process = start(HOLD, path, path.parent / "boot")
    said(process)
    assert who(path).alive is None
    killed(process)
    with until_taken(path) as held:
        assert held.held()


def test_a_process_that_was_stopped_and_replaced_finds_out_when_it_wakes(
    path: Path, quick: None, start: Callable[..., subprocess.Popen[str]]
) -> None:
    (path.parent / "boot").write_text("another\n")
    process = start(HOLD, path, path.parent / "boot")
    said(process)
    assert asked(process) == "held"
    process.send_signal(signal.SIGSTOP)
    with until_taken(path) as held:
        process.send_signal(signal.SIGCONT)
        answer = asked(process)
        assert "doesn't hold the lease" in answer and f"held by process {os.getpid()}" in answer
        time.sleep(0.2)  # its heart beats on, four times
        assert process.stdin is not None
        process.stdin.close()
        process.wait()  # it releases what it held
        assert held.held() and os.listdir(path) == [held.owner]


def test_a_process_in_another_pid_namespace_is_judged_by_its_heartbeat(
    path: Path, quick: None, start: Callable[..., subprocess.Popen[str]]
) -> None:
    unshare = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user can't make pid namespaces")
    process = start(HOLD, path, before=unshare)
    owner = said(process)
    assert json.loads((path / owner).read_text())["pid"] == 1  # which lives here too, and is someone else
    begun = time.monotonic()
    assert who(path).alive is None
    killed(process)
    taken_after_standing_still(path, begun)
