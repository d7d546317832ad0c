"""Remember what a tracker has of a sweep, in the sweep's folder, so that nothing is shown twice."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from persona_sweeps.records.files import read_json, write_json


class Claimed(Exception):
    """Another process is showing this run at the same target."""


@dataclass(frozen=True)
class Shown:
    """What a tracker has of a run: its id there, and the digest of what was shown when it was over."""

    id: str
    digest: str


class Ledger:
    """The runs and tables of a sweep that one target has."""

    def __init__(self, sweep: Path, tracker: str, target: str) -> None:
        self.folder = sweep / "tracking" / f"{tracker}-{hashlib.sha256(target.encode()).hexdigest()[:8]}"

    @staticmethod
    def digest(content: Any) -> str:
        """Return a digest of plain content."""
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def read(self, name: str) -> Shown | None:
        """Return what is there of a run; None if nothing, or only a part, is there."""
        found = read_json(self.folder / f"{name}.json") or {}
        if isinstance(found.get("id"), str) and isinstance(found.get("digest"), str):
            return Shown(found["id"], found["digest"])
        return None

    def write(self, name: str, shown: Shown) -> None:
        """Note that a run is there. Raises OSError."""
        write_json(self.folder / f"{name}.json", asdict(shown))

    @contextmanager
    def claim(self, name: str) -> Iterator[None]:
        """Keep other processes from showing this run meanwhile. Raises `Claimed` if one is doing so, and OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f"{name}.lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Claimed(name) from None
            yield
