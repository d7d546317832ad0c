"""Ends a process whose work stands still: a kernel that hangs, a collective that waits for ever, a file server gone.

Such a process lives, and its lease with it, so that nobody else would ever take up its runs. The clock is that of
faulthandler: a thread in C, which also runs while a call that hangs holds Python's own lock. It prints where every
thread stood, and ends the process; the supervisor then gives the runs to another job, as after any death.
"""

from __future__ import annotations

import contextlib
import faulthandler
import re
import sys
import time
from collections.abc import Iterator

EXPIRED = re.compile(r"^Timeout \((?P<time>[\d:.]+)\)!$", re.MULTILINE)
"""the first line of what faulthandler prints"""
_INNERMOST = re.compile(r"^(?:Current t|T)hread .*\n  File \"(?P<file>[^\"]*)\", line (?P<line>\d+)", re.MULTILINE)
_LEAST = 1.0
"""seconds between two arms: one starts a thread"""
_seconds: float | None = None
_armed = 0.0


@contextlib.contextmanager
def watching(seconds: float | None) -> Iterator[None]:
    """End the process, with exit code 1, if `feed` isn't called for so long in the block; None: never."""
    global _seconds
    _seconds = seconds
    importing = _Importing()
    sys.meta_path.insert(0, importing)
    try:
        _arm()
        yield
    finally:
        sys.meta_path.remove(importing)
        _seconds = None
        faulthandler.cancel_dump_traceback_later()


class _Importing:
    """Feeds the watchdog with each module that is imported: on a busy machine torch and transformers take long."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Find nothing, so that the module is found as ever."""
        feed()


def feed() -> None:
    """Say that work gets on. Cheap enough for every pass; does nothing where nobody watches."""
    if _seconds is not None and time.monotonic() - _armed >= min(_LEAST, _seconds / 10):
        _arm()


def _arm() -> None:
    global _armed
    if _seconds is not None:
        faulthandler.dump_traceback_later(_seconds, exit=True, file=sys.__stderr__ or sys.stderr)
        _armed = time.monotonic()


def last_words(printed: str) -> str | None:
    """Return, of what a process printed, that it was ended for standing still, and where; None if it wasn't."""
    expired = list(EXPIRED.finditer(printed))
    if not expired:
        return None
    innermost = list(_INNERMOST.finditer(printed, expired[-1].end()))
    where = (
        f", in line {innermost[-1]['line']} of {innermost[-1]['file']}" if innermost else ""
    )  # the main thread is last
    return f"it stood still for {expired[-1]['time']}{where}"
