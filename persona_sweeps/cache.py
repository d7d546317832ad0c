"""Where what can be made again is kept between runs: converted models, prepared data."""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
from pathlib import Path

from persona_sweeps.lifecycle.writable import unwritable

CACHE_VARIABLE = "PERSONA_SWEEPS_CACHE"


def cache_dir() -> Path:
    """Return the cache folder, made where there was none: `$PERSONA_SWEEPS_CACHE`, else `~/.cache/persona-sweeps`.

    Where that can't be written, it is a folder for temporary files from then on, for processes that this one starts
    too; that is told once.
    """
    try:
        wanted = _wanted()
    except RuntimeError as error:
        return _instead(str(error).rstrip("."))
    if wanted not in _usable:
        if obstacle := unwritable(wanted):
            return _instead(f"The cache {wanted} can't be written ({obstacle.strerror or obstacle})")
        _usable.add(wanted)
    return wanted


_usable: set[Path] = set()
"""folders that this process could write when it first asked"""


def _wanted() -> Path:
    """Return where the cache should be. Raises RuntimeError when no home folder is known."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cache" / "persona-sweeps"


def _instead(reason: str) -> Path:
    folder = _temporary()
    os.environ[CACHE_VARIABLE] = str(folder)
    _usable.add(folder)
    advice = f"Set {CACHE_VARIABLE} to a folder that is kept."
    print(f"{reason}: {folder} is used instead. {advice}", file=sys.stderr)
    return folder


def _temporary() -> Path:
    """Return this user's own folder beside other temporary files, or a fresh one where another user has that name."""
    try:
        name = f"persona-sweeps-{getpass.getuser()}"
    except (KeyError, OSError):  # a user id without a name
        name = f"persona-sweeps-{os.getuid()}"
    folder = Path(tempfile.gettempdir()) / name
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        own = not folder.is_symlink() and folder.stat().st_uid == os.getuid()
    except OSError:
        own = False
    return folder if own and unwritable(folder) is None else Path(tempfile.mkdtemp(prefix="persona-sweeps-"))
