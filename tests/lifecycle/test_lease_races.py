"""However many reach for it at once, exactly one has it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.lifecycle import lease
from persona_sweeps.lifecycle.lease import Lease, acquire, holder
from tests.lifecycle.leases import (
    PATIENCE,
    killed,
    said,
    take,
    this_process,
    written,
)

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
    os._exit(0)  # from Python 3.13 on, a child's exit would release what it has

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
