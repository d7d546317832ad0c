"""Seal files in a record, by size, time and hash, so that a later change of them is noticed.

As git's index does: a file with its recorded size and time counts as unchanged, which costs no reading; one with
another time, such as a copy, is read and its hash compared.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

Seal = dict[str, Any]
"""`bytes`, `sha256` and `modified_ns` of a file"""


def seal(path: Path) -> Seal:
    """Return the seal of a file. Raises OSError."""
    state = path.stat()
    return {"bytes": state.st_size, "sha256": _sha256(path, state.st_mtime_ns), "modified_ns": state.st_mtime_ns}


def seal_all(root: Path, paths: Iterable[Path]) -> dict[str, Seal]:
    """Return the seals of files by their names from `root`. Raises OSError."""
    return {path.relative_to(root).as_posix(): seal(path) for path in sorted(paths)}


def is_unchanged(path: Path, recorded: Mapping[str, Any]) -> bool:
    """Return whether a file is there with the content that it had when it was sealed."""
    try:
        state = os.stat(path)
        if state.st_size != recorded["bytes"]:
            return False
        if "sha256" not in recorded:  # an evaluation of an earlier version: its size is all that is known
            return True
        return state.st_mtime_ns == recorded["modified_ns"] or _sha256(path, state.st_mtime_ns) == recorded["sha256"]
    except (OSError, KeyError, TypeError):
        return False


@lru_cache(maxsize=4096)
def _sha256(path: Path, modified: int) -> str:
    """Return the hash of a file; `modified` is its time, for the cache."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
