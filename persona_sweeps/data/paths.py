"""Find the files that a config names, or say what is wrong with the name."""

from __future__ import annotations

from pathlib import Path

from persona_sweeps.errors import DataError, did_you_mean


def existing_file(name: str, key: str) -> Path:
    """Return the file that `key` names. Raises DataError, with the nearest name, if there is none."""
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise DataError(f"{key}={name} is a folder; give a file.")
    raise missing(name, key)


def missing(name: str, key: str) -> DataError:
    """Return the error for a path that doesn't exist, with the nearest name beside it."""
    path = Path(name).expanduser()
    folder = path.parent
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    where = "" if folder.is_dir() else f" The folder {folder} doesn't exist either."
    return DataError(f"{key}={name} doesn't exist.{did_you_mean(path.name, names)}{where}")
