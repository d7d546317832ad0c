"""Signals that a process gives itself at an exact point of its work: as it puts a file in its place."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import Any


def hit_at(number: int, pattern: str, nth: int, after: bool = False) -> None:
    """Have this process be hit by a signal when the nth file of this pattern is written, and not yet in its place.

    With `after` it is in its place.
    """
    replace, seen = os.replace, 0

    def hitting(source: Any, target: Any, **options: Any) -> None:
        nonlocal seen
        if fnmatch.fnmatch(str(Path(target)), f"*/{pattern}"):
            seen += 1
            if after:
                replace(source, target, **options)
            if seen == nth:
                os.kill(os.getpid(), number)
            if after:
                return
        replace(source, target, **options)

    os.replace = hitting
