"""Leases of this process, of real others that are killed, stopped and forked, and of pretended ones: what tests share.

Time is never mocked: where a death takes time to be seen, the time is short. What must *not* happen is tried without
deadlines, and what must happen has a generous one, since the machine may have better things to do.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from persona_sweeps.lifecycle import lease, liveness
from persona_sweeps.lifecycle.lease import Holder, Lease, acquire, holder

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
