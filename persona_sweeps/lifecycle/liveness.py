"""Whether the process that wrote a file lives: by its pid on its own machine, by the file's mtime from elsewhere.

For that, `Heart` keeps a process's own files fresh, and `Sighting` is what it sees of another's.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MACHINE = ("host", "boot", "namespace")
"""what processes share that see each other's pids; the host too, since machines cloned while they ran share the rest"""


def facts_of_this_process() -> dict[str, Any]:
    """Return what `lives` needs to know of this process, for JSON: host, boot, namespace, pid and started."""
    return {**_this_machine(), "pid": os.getpid(), "started": _started("self")}


def facts_in(text: bytes) -> dict[str, Any]:
    """Return the facts that a file holds, or {} if it was torn by a crash or never held any."""
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(facts, dict) or type(facts.get("pid")) is not int or not 0 < facts["pid"] < 2**31:
        return {}
    return facts


def lives(facts: dict[str, Any]) -> bool | None:
    """Whether the process with these facts lives; None when its pid means nothing here, or can't be looked up."""
    if not facts or any(here is None or facts.get(name) != here for name, here in _this_machine().items()):
        return None
    try:
        os.kill(facts["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    started = _started(facts["pid"])
    return None if started is None else started == facts.get("started")


def _this_machine() -> dict[str, str | None]:
    """Return what identifies the pids that this process sees; None for what the system doesn't say."""
    boot = namespace = None
    try:
        boot = BOOT_ID.read_text().strip()
        if os.readlink("/proc/self") == str(os.getpid()):  # else it's the /proc of another namespace
            namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        pass
    return dict(zip(MACHINE, (socket.gethostname(), boot, namespace), strict=True))


def _started(pid: int | str) -> str | None:
    """Return when a process started, in ticks since the boot (proc(5), stat); "" if it has ended and isn't waited for.

    None when that can't be seen: another user's process where /proc hides those, or one that is gone.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, threads, started = fields[0], int(fields[17]), fields[19]
    # While other threads of a process that was killed are still ending, one may be inside a write.
    return "" if state in "ZX" and threads <= 1 else started


@dataclass(frozen=True, slots=True)
class Sighting:
    """What this process saw of a file that another one keeps refreshing. All times are of its own monotonic clock."""

    mtime: int
    """in ns; only ever asked whether it changed"""
    still: float = 0.0
    """seconds of observation in which it didn't"""
    beats: bool = False
    """whether it was ever seen to change"""
    looked: float = field(default_factory=time.monotonic)
    """when the last look ended"""

    def again(self, mtime: int, begun: float, most: float) -> Sighting:
        """Return what is known after another look, begun at `begun`; at most `most` s since the last one count."""
        if mtime != self.mtime:
            return Sighting(mtime, beats=True)
        return Sighting(mtime, self.still + min(max(begun - self.looked, 0.0), most), self.beats)

    def alive(self, stale_after: float) -> bool | None:
        """Whether the process lives that refreshes the file; None as long as that isn't known."""
        return False if self.still >= stale_after else self.beats or None


class Heart:
    """Refreshes the mtimes of this process's files, from one thread, until they are dropped or gone.

    It makes no file. A forked child's heart is empty.
    """

    def __init__(self, interval: Callable[[], float]) -> None:
        """`interval` gives the seconds to the next beat."""
        self._interval = interval
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._files: set[Path] = set()
        self._lock = threading.Lock()
        self._added = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, file: Path) -> None:
        with self._lock:
            self._files.add(file)
            if self._thread is None:
                thread = threading.Thread(target=self._beat_forever, name="heartbeat", daemon=True)
                thread.start()
                self._thread = thread
        self._added.set()

    def drop(self, file: Path) -> None:
        with self._lock:
            self._files.discard(file)

    def _beat_forever(self) -> None:
        while True:
            self._added.wait(self._interval())  # an added file may want a shorter one
            self._added.clear()
            with self._lock:
                files = list(self._files)
            for file in files:
                self._beat(file)

    def _beat(self, file: Path) -> None:
        try:
            os.utime(file)  # the file system's own time: nobody compares it with a clock
        except (FileNotFoundError, NotADirectoryError):
            with self._lock:
                known = file in self._files  # else it was dropped this moment
                self._files.discard(file)
            if known:
                log.warning("%s, which showed that this process lives, was removed by another.", file)
        except OSError as error:
            log.warning("%s, which shows that this process lives, can't be refreshed now: %s.", file, error)
