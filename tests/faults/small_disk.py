"""A small disk of its own for a test: a tmpfs in a mount namespace, which needs no privileges where users may have one.

A process keeps the namespace; commands join it, and the test looks into it through /proc.
"""

from __future__ import annotations

import ctypes
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from tests.faults.processes import SERVER

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
FILLER = "filler"


class NoNamespaces(Exception):
    """This system lets its users have no mount namespaces."""


class SmallDisk:
    """A folder on a disk of so many bytes."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.inside = folder
        ours, theirs = SERVER.Pipe()
        self._process = SERVER.Process(target=_keep, args=(theirs, str(folder), size), daemon=True)
        self._process.start()
        error = ours.recv()
        if error:
            self._process.join()
            raise NoNamespaces(error)
        assert self._process.pid is not None
        self.keeper: int = self._process.pid
        self.path = Path(f"/proc/{self.keeper}/root{folder.resolve()}")
        """the folder as processes outside see it"""

    def fill(self) -> None:
        """Leave no room."""
        with open(self.path / FILLER, "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1 << 8, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        (self.path / FILLER).unlink()

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def join(keeper: int) -> None:
    """Bring this process into the namespace that another keeps."""
    kinds = [CLONE_NEWUSER, CLONE_NEWNS] if not _same_user_namespace(keeper) else [CLONE_NEWNS]
    for kind, name in ((CLONE_NEWUSER, "user"), (CLONE_NEWNS, "mnt")):
        if kind in kinds:
            descriptor = os.open(f"/proc/{keeper}/ns/{name}", os.O_RDONLY)
            _call("setns", descriptor, kind)
            os.close(descriptor)


def _same_user_namespace(pid: int) -> bool:
    return os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user")


def _keep(ready: Connection, folder: str, size: int) -> None:
    try:
        _own_namespace()
        _call("mount", b"tmpfs", folder.encode(), b"tmpfs", 0, f"size={size}".encode())
    except OSError as error:
        ready.send(str(error))
        return
    ready.send("")
    signal.pause()


def _own_namespace() -> None:
    uid, gid = os.getuid(), os.getgid()
    try:
        _call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
    except OSError:
        _call("unshare", CLONE_NEWNS)  # as root
        _call("mount", b"none", b"/", None, 0x44000, None)  # MS_REC | MS_PRIVATE
        return
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _call(name: str, *arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
