"""Leases between real processes that are killed, stopped, forked and replaced.

Time is never mocked: where a death takes time to be seen, the time is short. What must *not* happen is tried without
deadlines, and what must happen has a generous one, since the machine may have better things to do.
"""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_sweeps.lifecycle import lease, liveness
from persona_sweeps.lifecycle.lease import Holder, Lease, LeaseLost, acquire, break_dead, holder

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""seconds after which what must happen counts as never"""

HOLD = """
import sys, time
from pathlib import Path
from persona_sweeps.lifecycle import lease, liveness
lease.HEARTBEAT = 0.05
if boot := sys.argv[2:]:
    liveness.BOOT_ID = Path(boot[0])
held = lease.acquire(sys.argv[1])
print(held.owner, flush=True)
for line in sys.stdin:
    try:
        held.check()
        print("held", flush=True)
    except lease.LeaseLost as lost:
        print(lost, flush=True)
"""
"""takes a lease, as if on a machine with another boot id if one is given; checks it at every line it is sent"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lease"


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that runs Python code in a process of its own, killed at the end of the test."""
    processes = []

    def started(code: str, *arguments: object, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*before, sys.executable, "-c", code, *map(str, arguments)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deaths elsewhere are seen within a moment."""
    monkeypatch.setattr(lease, "STALE_AFTER", 0.1)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def asked(process: subprocess.Popen[str]) -> str:
    """Have a holder check its lease."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return said(process)


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def written(path: Path, facts: dict[str, Any] | bytes) -> Path:
    """Write a lease by hand; return the file of its owner."""
    path.mkdir()
    file = path / uuid.uuid4().hex
    file.write_bytes(facts if isinstance(facts, bytes) else json.dumps(facts).encode())
    return file


def take(path: Path) -> Lease:
    held = acquire(path)
    assert held is not None
    return held


def who(path: Path) -> Holder:
    found = holder(path)
    assert found is not None
    return found


def this_process(**changes: object) -> dict[str, Any]:
    return {**liveness.facts_of_this_process(), "job": None, "since": "2026-01-01T00:00:00+00:00", **changes}


def until_taken(path: Path) -> Lease:
    """Call acquire until it succeeds."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        taken = acquire(path)
        if taken is not None:
            return taken
        time.sleep(0.01)
    raise AssertionError("never taken")


def taken_after_standing_still(path: Path, begun: float) -> None:
    """Assert that a lease, first seen as it is after `begun`, is taken over, but not before STALE_AFTER."""
    with until_taken(path) as held:
        assert time.monotonic() - begun >= lease.STALE_AFTER
        assert os.listdir(path) == [held.owner]


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


def test_holder_tells_who(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert holder(path) is None
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with take(path) as held:
        found = who(path)
        assert (found.pid, found.job, found.alive, found.owner) == (os.getpid(), "4711", True, held.owner)
        assert found.host in str(found) and "job 4711" in str(found)
    assert holder(path) is None


def test_a_task_of_an_array_is_named_as_slurm_names_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"JOB_ID": "4713", "ARRAY_JOB_ID": "4711", "ARRAY_TASK_ID": "2"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with take(path):
        assert who(path).job == "4711_2"


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


# Races

RACE = """
import json, multiprocessing, os, sys, time
from pathlib import Path
from persona_sweeps.lifecycle import lease, liveness

def race(barriers, folder, rounds, wins):
    for number in range(rounds):
        barriers.wait(60)
        path, won = folder / str(number), None
        while won is None and (found := lease.holder(path)) and found.owner == "dead":
            time.sleep(0.001)
            won = lease.acquire(path)
        with wins.get_lock():
            wins[number] += won is not None
        barriers.wait(60)

lease.STALE_AFTER = 0.004
folder, rounds, takers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for number in range(rounds):
    (folder / str(number)).mkdir()
    dead = {**liveness.facts_of_this_process(), **json.loads(sys.argv[4])}
    (folder / str(number) / "dead").write_text(json.dumps(dead))
context = multiprocessing.get_context("fork")
wins, barriers = context.Array("i", rounds), context.Barrier(takers)
processes = [context.Process(target=race, args=(barriers, folder, rounds, wins)) for _ in range(takers)]
for process in processes:
    process.start()
for process in processes:
    process.join()
print(json.dumps(list(wins)))
print(json.dumps([len(os.listdir(folder / str(number))) for number in range(rounds)]))
"""


@pytest.mark.parametrize("dead", [{"started": "1"}, {"boot": "another"}], ids=["here", "elsewhere"])
@pytest.mark.parametrize(
    "rounds, takers",
    [(40, 2), pytest.param(500, 2, marks=pytest.mark.slow), pytest.param(200, 5, marks=pytest.mark.slow)],
)
def test_of_takers_of_a_dead_lease_exactly_one_wins(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]], rounds: int, takers: int, dead: dict[str, str]
) -> None:
    process = start(RACE, tmp_path, rounds, takers, json.dumps(dead))
    assert json.loads(said(process)) == [1] * rounds
    assert json.loads(said(process)) == [1] * rounds
    assert len(os.listdir(tmp_path)) == rounds  # the losers' drafts are gone


def test_a_taker_that_comes_late_spares_whoever_took_the_dead_lease(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between its judgement and each of its steps, while another takes the lease."""
    for step in ("_write_draft", "_remove", "_put"):
        dead = written(path, this_process(started="1"))
        real = getattr(lease, step)
        others: list[Lease] = []

        def late(*arguments: Any, real: Any = real, step: str = step, others: list[Lease] = others) -> Any:
            monkeypatch.setattr(lease, step, real)
            others.append(take(path))
            return real(*arguments)

        monkeypatch.setattr(lease, step, late)
        assert acquire(path) is None
        assert others[0].held() and os.listdir(path) == [others[0].owner] != [dead.name]
        others[0].release()
        assert os.listdir(path.parent) == []


HAMMER = """
import fcntl, os, random, sys, time
from pathlib import Path
from persona_sweeps.lifecycle import lease

path, counter, guard = Path(sys.argv[1]), os.open(sys.argv[2], os.O_RDWR), open(sys.argv[3], "w")
taken, end = 0, time.monotonic() + float(sys.argv[4])
while time.monotonic() < end:
    held = lease.acquire(path)
    if held is None:
        time.sleep(random.random() * 0.002)
        continue
    fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if another is in here: the kernel's word against ours
    count = int(os.pread(counter, 8, 0))
    time.sleep(random.random() * 0.002)
    held.check()
    os.pwrite(counter, b"%08d" % (count + 1), 0)  # whole, even if it's killed now
    taken += 1
    fcntl.flock(guard, fcntl.LOCK_UN)
    held.release()
print(taken, flush=True)
"""
"""takes and releases one lease for some seconds, and counts how often it held it"""


@pytest.mark.slow
def test_eight_processes_never_hold_it_at_once(path: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    counter = path.with_name("counter")
    counter.write_text("00000000")
    processes = [start(HAMMER, path, counter, path.with_name("guard"), 4) for _ in range(8)]
    taken = [int(said(process) or -1) for process in processes]
    assert [process.wait() for process in processes] == [0] * 8
    assert sum(taken) == int(counter.read_text()) > 0
    assert sorted(os.listdir(path.parent)) == ["counter", "guard"]


@pytest.mark.slow
def test_nor_while_some_are_killed_and_others_take_over(
    path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    counter, chance = path.with_name("counter"), random.Random(1)
    counter.write_text("00000000")

    def worker() -> subprocess.Popen[str]:
        return start(HAMMER, path, counter, path.with_name("guard"), 600)

    processes, died_holding = [worker() for _ in range(6)], 0
    begun = time.monotonic()
    while time.monotonic() - begun < 5 or (died_holding < 5 and time.monotonic() - begun < PATIENCE):
        time.sleep(0.05 * chance.random())
        assert [process.poll() for process in processes] == [None] * 6  # else flock saw two
        found = holder(path)
        pids = [process.pid for process in processes]
        index = pids.index(found.pid) if found and found.pid in pids and chance.random() < 0.7 else chance.randrange(6)
        killed(processes[index])
        left = holder(path)
        died_holding += left is not None and left.pid == pids[index]
        processes[index] = worker()
    for process in processes:
        killed(process)
    assert died_holding >= 5
    with take(path) as held:
        assert held.held()
