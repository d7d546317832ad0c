"""Signals that a process gives itself at an exact point of its work: as it puts a file in its place."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


def hit_at(number: int, pattern: str, nth: int, after: bool = False) -> None:
    """Have this process be hit by a signal when the nth file or folder of this pattern is written, not yet put there.

    With `after` it is in its place.
    """
    seen = 0

    def hitting(put: Callable[..., None], source: Any, target: Any, **options: Any) -> None:
        nonlocal seen
        if fnmatch.fnmatch(str(Path(target)), f"*/{pattern}"):
            seen += 1
            if after:
                put(source, target, **options)
            if seen == nth:
                os.kill(os.getpid(), number)
            if after:
                return
        put(source, target, **options)

    os.replace, os.rename = partial(hitting, os.replace), partial(hitting, os.rename)
