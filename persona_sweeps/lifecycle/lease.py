"""Which process trains a run: a lease, held by one process at a time, on one machine or between nodes that share files.

A lease is a folder. Who holds it has a file in it, named after a uuid of this one taking; an empty folder, like none,
is free. The file says who the owner is, in JSON, and its mtime is the owner's heartbeat:

    lease/5c0f…     {"host": …, "boot": …, "namespace": …, "pid": …, "started": …, "job": …, "since": …}

Why that is right, and why it's a folder:

- *Taking* is one rename(2) of a prepared folder, with the file in it, to the lease's name. That succeeds where there is
  no folder or an empty one and nowhere else, in one step (POSIX; RFC 1813, 3.3.14 and RFC 8881, 18.26 ask it of NFS
  servers). So there is never more than one owner, and its file is there whole.
- *Releasing, taking over and breaking* unlink the file of the owner that was judged, by its uuid, then rmdir the folder
  if it's empty. No uuid comes back. So a step that comes late, from a process that was stopped or as a duplicate on
  the network, removes what was meant or nothing, never a lease that was taken anew. Takers of one dead lease may all
  unlink; one rename wins. Whoever dies in between leaves a lease that is free or dead.
- *Holding* is having one's file there. It's lost for good when it's gone: the heartbeat changes a file's times, and
  makes no file. Nothing depends on a reply: NFS may report an error for what was done, so after one we look for our
  file.
- *Dead or alive* is known at once on the owner's own machine, from its pid and start time. From elsewhere, the owner is
  dead once its mtime stood still for STALE_AFTER of the observer's monotonic clock; mtimes are never ordered. The time
  that a look itself takes doesn't count, nor more than half of STALE_AFTER between two looks, so that a server
  that hangs for minutes, for the owner and the observer alike, kills nobody: a death elsewhere takes three looks. Every
  look opens the file, since NFS asks the server again then.

What no lease can give: between `check()` and a write a process may be stopped for a minute. So check right before
writing results, and write them whole. File systems without atomic rename (object stores) give no exclusion.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import os
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from persona_sweeps.lifecycle.liveness import Heart, Sighting, facts_in, facts_of_this_process, lives

HEARTBEAT = 15.0
"""seconds between two refreshments of a held lease"""
STALE_AFTER = 60.0
"""seconds without one after which an owner elsewhere is dead: several heartbeats"""
_heart = Heart(lambda: HEARTBEAT)
_job: str | None = None
"""the cluster's job that this process runs in"""


class LeaseLost(RuntimeError):
    """The lease isn't this process's any more: another may be at work on what it guards."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lease. Of a file that can't be understood, host and since are empty and the pid is 0."""

    host: str
    pid: int
    job: str | None
    """the cluster's job that it runs in, as its backend calls it"""
    since: str
    """when it was taken by the owner's clock, in UTC: for people only"""
    alive: bool | None
    """None when it isn't known yet"""
    owner: str
    """what `break_dead` takes"""

    def __str__(self) -> str:
        if not self.pid:
            return "an unknown process, whose lease can't be read"
        job = f" of job {self.job}" if self.job else ""
        return f"process {self.pid}{job} on {self.host}, since {self.since}"


class Lease:
    """A lease that this process took: a context manager that releases it.

    It lasts until it is released or the process ends, even if this object isn't kept. Forked children don't have it.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self.path = path
        self.owner = owner
        self._pid = os.getpid()

    def held(self) -> bool:
        """Whether the lease is still this process's, as the file system says now. Raises OSError if it can't say."""
        if os.getpid() != self._pid:
            return False
        try:
            os.close(os.open(self.path / self.owner, os.O_RDONLY))  # a stat may be answered from NFS's cache
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def check(self) -> None:
        """Raise LeaseLost unless the lease is still this process's. To be called right before results are written."""
        if self.held():
            return
        other = holder(self.path)
        now = f"now it's held by {other}" if other else "now nobody holds it"
        raise LeaseLost(
            f"Process {os.getpid()} doesn't hold the lease {self.path} any more: it was released, or not refreshed for "
            f"{STALE_AFTER:g} s; {now}. Write no results; start the run again."
        )

    def release(self) -> None:
        """Let others have the lease. Does nothing if it's released or lost already, or in a forked child."""
        if os.getpid() != self._pid:
            return
        _heart.drop(self.path / self.owner)
        _remove(self.path, self.owner)
        atexit.unregister(self.release)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def acquire(path: str | os.PathLike[str]) -> Lease | None:
    """Take the lease at `path` if it's free or its owner is dead; missing parent folders are made.

    Returns None, at once, while another owner is alive or not yet known to be dead, this process included. Call again,
    every HEARTBEAT or so, to learn of the death of an owner on another machine. Raises OSError when no lease can be
    made there: a folder that can't be written, a full disk.
    """
    path = Path(os.path.abspath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    found = _look(path)
    if any(other.alive is not False for other in found):
        return None
    lease = Lease(path, uuid.uuid4().hex)
    draft = path.with_name(f".{path.name}-{lease.owner}")
    try:
        _write_draft(draft, lease.owner)
        for other in found:
            _remove(path, other.owner)
        if not _put(draft, lease):
            return None
        atexit.register(lease.release)
        _heart.add(path / lease.owner)
        _clear_drafts(path)
    except BaseException:
        with contextlib.suppress(OSError):
            lease.release()
        raise
    finally:
        with contextlib.suppress(OSError):
            _remove(draft, lease.owner)
    return lease


def name_job(name: str | None) -> None:
    """Have the leases that this process takes say that it runs in this job of a cluster."""
    global _job
    _job = name


def holder(path: str | os.PathLike[str]) -> Holder | None:
    """Return who has the lease at `path`, dead or alive, or None. Each call is a look that may show it to be dead."""
    found = _look(Path(os.path.abspath(path)))
    return min(found, key=lambda one: one.alive is False, default=None)


def break_dead(path: str | os.PathLike[str], owner: str) -> bool:
    """Take the lease from an owner that the caller knows from the scheduler to be dead; return whether it had it."""
    return _remove(Path(os.path.abspath(path)), owner)


def _write_draft(draft: Path, owner: str) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {**facts_of_this_process(), "job": _job, "since": since}
    draft.mkdir()
    with open(draft / owner, "w", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _put(draft: Path, lease: Lease) -> bool:
    """Make the draft the lease; return False if another was quicker."""
    try:
        os.rename(draft, lease.path)
    except OSError as error:
        if lease.held():
            return True
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _remove(folder: Path, owner: str) -> bool:
    """Remove one owner's file and, if nothing else is in it, the folder; return whether the file was there."""
    try:
        os.unlink(folder / owner)
        there = True
    except (FileNotFoundError, NotADirectoryError):
        there = False
    with contextlib.suppress(OSError):  # another has taken it, or is about to; an empty folder is free as well
        os.rmdir(folder)
    return there


def _clear_drafts(path: Path) -> None:
    """Remove the drafts of processes of this machine that died before they could use them."""
    for name in os.listdir(path.parent):
        owner = name.removeprefix(f".{path.name}-")
        if owner == name:
            continue
        with contextlib.suppress(OSError):
            if lives(facts_in((path.parent / name / owner).read_bytes())) is False:
                _remove(path.parent / name, owner)


_sightings: dict[Path, dict[str, Sighting]] = {}


def _look(folder: Path) -> list[Holder]:
    """Return whose files are in a lease's folder: one at most, unless others put some there."""
    begun = time.monotonic()
    before = _sightings.get(folder, {})
    now: dict[str, Sighting] = {}
    found = []
    for owner in _names(folder):
        try:
            with open(folder / owner, "rb") as file:
                text, mtime = file.read(), os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            continue
        now[owner] = before[owner].again(mtime, begun, STALE_AFTER / 2) if owner in before else Sighting(mtime)
        found.append(_judged(owner, facts_in(text), now[owner]))
    if now:
        _sightings[folder] = now
    else:
        _sightings.pop(folder, None)
    return found


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _judged(owner: str, facts: dict[str, Any], sighting: Sighting) -> Holder:
    known = lives(facts)
    job = facts.get("job")
    return Holder(
        host=str(facts.get("host", "")),
        pid=facts.get("pid", 0),
        job=None if job is None else str(job),
        since=str(facts.get("since", "")),
        alive=sighting.alive(STALE_AFTER) if known is None else known,
        owner=owner,
    )
