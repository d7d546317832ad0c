"""Write files and folders so that a crash leaves them whole or not at all, and read JSON that may be broken.

A draft is written beside what it replaces, under a name of its own, and renamed when the disk holds it. A process that
is killed leaves its draft: `remove_drafts` removes those, where no other process can be writing.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def replacing_file(path: Path) -> Iterator[IO[bytes]]:
    """Give an empty file to write to, which takes the place of `path` when the block ends.

    What is raised in the block, or by the disk, leaves `path` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path))
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o666 & ~_umask())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
    _flush(path.parent)


@contextlib.contextmanager
def replacing(folder: Path, unless: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """Give an empty folder to write to, which takes the place of `folder`, with all in it, when the block ends.

    What is raised in the block, or by the disk, leaves `folder` as it was. Where another process has put one there
    meanwhile, `unless` says whether that one is as good: then it stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_prefix(folder)))
    try:
        yield draft
        os.chmod(draft, 0o777 & ~_umask())
        for path in (*draft.rglob("*"), draft):
            _flush(path)
        _put(draft, folder, unless)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _flush(folder.parent)


def _put(draft: Path, folder: Path, unless: Callable[[], bool]) -> None:
    try:
        draft.rename(folder)
        return
    except OSError:  # one that isn't empty can't be renamed over
        if not folder.is_dir():
            raise
    if unless():
        return
    former = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_prefix(folder)))
    try:
        folder.rename(former)
        draft.rename(folder)
    finally:
        shutil.rmtree(former, ignore_errors=True)


def remove_drafts(path: Path) -> None:
    """Remove what killed processes left half written of a file or folder; none may be writing it now.

    The name may be a pattern, such as step-*.
    """
    for draft in path.parent.glob(f"{_prefix(path)}*"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a file whole."""
    with replacing_file(path) as file:
        file.write(text.encode())


def _prefix(path: Path) -> str:
    """Return how the names of a file's or folder's drafts begin."""
    return f".{path.name}-"


def _flush(path: Path) -> None:
    """Have the disk hold what was written to a file, or a folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_text(path, json_lines(rows))


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a line of JSON for each row. Raises ValueError for a number that JSON has no word for."""
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def finite(value: Any) -> Any:
    """Replace numbers that JSON has no word for by null, and paths by texts, in nested containers."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def aside(path: Path) -> Path:
    """Rename a file that can't be used to a name of its own beside it, and return that: nothing is deleted."""
    renamed = free_name(path)
    path.rename(renamed)
    return renamed


def free_name(path: Path) -> Path:
    """Return a name beside a broken file that is still free."""
    number = 0
    while (found := path.with_name(f"{path.name}.broken-{number}")).exists():
        number += 1
    return found


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None when there is none, or it can't be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
