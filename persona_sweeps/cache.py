"""The cache folder: it keeps converted models and prepared data between runs; all of it can be made again."""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
from pathlib import Path

from persona_sweeps.lifecycle.writable import unwritable

CACHE_VARIABLE = "PERSONA_SWEEPS_CACHE"


def cache_dir() -> Path:
    """Return the cache folder, creating it if needed: `$PERSONA_SWEEPS_CACHE`, else `~/.cache/persona-sweeps`.

    If that folder can't be written, a temporary folder replaces it from then on, also for processes that this one
    starts. A warning says so once.
    """
    try:
        wanted = _configured()
    except RuntimeError as error:
        return _fall_back(str(error).rstrip("."))
    if wanted not in _usable:
        if obstacle := unwritable(wanted):
            return _fall_back(f"The cache {wanted} can't be written ({obstacle.strerror or obstacle})")
        _usable.add(wanted)
    return wanted


_usable: set[Path] = set()
"""folders that this process could write when it first checked"""


def _configured() -> Path:
    """Return the configured cache folder. Raises RuntimeError if the user has no home folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cache" / "persona-sweeps"


def _fall_back(reason: str) -> Path:
    folder = _temporary()
    os.environ[CACHE_VARIABLE] = str(folder)
    _usable.add(folder)
    advice = f"Set {CACHE_VARIABLE} to a folder that is kept."
    print(f"{reason}: {folder} is used instead. {advice}", file=sys.stderr)
    return folder


def _temporary() -> Path:
    """Return this user's folder for temporary files, or a fresh one if another user owns a folder of that name."""
    try:
        name = f"persona-sweeps-{getpass.getuser()}"
    except (KeyError, OSError):  # a user id without a name
        name = f"persona-sweeps-{os.getuid()}"
    folder = Path(tempfile.gettempdir()) / name
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        is_ours = not folder.is_symlink() and folder.stat().st_uid == os.getuid()
    except OSError:
        is_ours = False
    return folder if is_ours and unwritable(folder) is None else Path(tempfile.mkdtemp(prefix="persona-sweeps-"))
