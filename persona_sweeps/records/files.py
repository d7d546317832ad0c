"""Write files and folders so that a crash leaves them whole or not at all, and read JSON that may be broken.

A draft is written beside the file that it replaces, under another name, flushed to disk, and renamed. A killed process
leaves its draft; `remove_drafts` removes drafts where no other process can be writing.
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
def replacing_file(path: Path, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Yield an empty file to write to, which replaces `path` at the end of the block.

    `mode` is its permissions; None: those that the umask gives. An error in the block, or of the disk, leaves `path`
    unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path))
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o666 & ~_umask() if mode is None else mode)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
    _flush(path.parent)


@contextlib.contextmanager
def replacing(folder: Path, unless: Callable[[], bool] = lambda: False, mask: int = 0) -> Iterator[Path]:
    """Yield an empty folder to write to, which replaces `folder` and all its content at the end of the block.

    An error in the block, or of the disk, leaves `folder` unchanged. If `folder` exists by then and `unless()` is true,
    it stays: another process may have written an equally good one meanwhile. `mask` takes permissions away besides
    those that the umask takes.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_prefix(folder)))
    try:
        yield draft
        mask |= _umask()
        for path in (*draft.rglob("*"), draft):
            if not path.is_symlink():  # a library may have written for its owner alone
                os.chmod(path, (0o777 if path.is_dir() else 0o666) & ~mask)
            _flush(path)
        _put(draft, folder, unless)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _flush(folder.parent)


def _put(draft: Path, folder: Path, unless: Callable[[], bool]) -> None:
    try:
        draft.rename(folder)
        return
    except OSError:  # a rename can't replace a folder that isn't empty
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
    """Remove the drafts of a file or folder that killed processes left; no process may be writing it now.

    The name may be a pattern, such as step-*.
    """
    for draft in path.parent.glob(f"{_prefix(path)}*"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a file atomically. Raises OSError."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes, mode: int | None = None) -> None:
    """Replace a file atomically; `mode` is its permissions. Raises OSError."""
    with replacing_file(path, mode) as file:
        file.write(content)


def _prefix(path: Path) -> str:
    """Return the prefix of the names of a file's or folder's drafts."""
    return f".{path.name}-"


def _flush(path: Path) -> None:
    """Flush a file's content, or a folder's list of names, to the disk."""
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
    """Return a line of JSON for each row. Raises ValueError for NaN and infinities, which JSON lacks."""
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def finite(value: Any) -> Any:
    """Replace NaN and infinities by None, and paths by texts, in nested containers, so that JSON can hold them."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def set_aside(path: Path) -> Path:
    """Rename an unusable file to a free name beside it, and return that name: nothing is deleted."""
    renamed = free_name(path)
    path.rename(renamed)
    return renamed


def free_name(path: Path) -> Path:
    """Return a free name beside a broken file."""
    number = 0
    while (candidate := path.with_name(f"{path.name}.broken-{number}")).exists():
        number += 1
    return candidate


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if there is none or it can't be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
