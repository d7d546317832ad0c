"""Looks at a sweep after each kill, and sees whether anything was lost or done twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.results import lines, starts

Identity = tuple[int, int]
"""inode and time of a file: it stays what it is as long as nobody writes it anew"""


@dataclass
class Kept:
    """What was seen to be finished in an output folder: runs, predictions and evaluations."""

    output: Path
    finished: dict[str, Identity] = field(default_factory=dict)
    """by path"""

    def look(self) -> None:
        """See that nothing finished was written anew."""
        for path in self._finished():
            name, stat = str(path.relative_to(self.output)), path.stat()
            identity = stat.st_ino, stat.st_mtime_ns
            assert self.finished.setdefault(name, identity) == identity, f"{name} was finished, and is written again"

    @property
    def completed(self) -> list[str]:
        """The runs that were seen to be completed."""
        return [name for name in self.finished if name.endswith("run.json")]

    def _finished(self) -> Iterator[Path]:
        for path in sorted(self.output.glob("runs/*/run.json")):
            if json.loads(path.read_text())["status"] == "completed":
                yield path
        for head in sorted(self.output.glob("runs/*/predictions/*.json")):
            yield from (head, head.with_suffix(".jsonl"))
        for path in sorted(self.output.glob("runs/*/evaluations/*.json")):
            if json.loads(path.read_text())["failure"] is None:
                yield from (path, path.with_suffix(".samples.jsonl"))


@dataclass
class Witness(Kept):
    """What was seen of the runs in an output folder, how far they had come among it."""

    interval: float = 0.2
    """seconds between two checkpoints"""
    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    """steps that were taken again"""

    def look(self) -> None:
        """Compare with what was there before. Only while no process is at work."""
        super().look()
        for folder in sorted(self.output.glob("runs/*")):
            name = folder.name
            log = folder / "run.log"
            began = starts(folder) if log.exists() else []
            before = self.histories.get(name, [])
            if len(began) > self.begun.get(name, 0):
                assert len(began) == self.begun.get(name, 0) + 1, "a command takes up a run once"
                self._repeats_little(before, began[-1], name)
            self.begun[name] = len(began)
            self.histories[name] = lines(folder / "history.jsonl") if (folder / "history.jsonl").exists() else []

    def _repeats_little(self, before: Sequence[dict[str, Any]], step: int, name: str) -> None:
        """What lies between a checkpoint and the kill is an interval, the step under way, and a save."""
        times = [0.0, *(row["seconds"] for row in before)]
        assert step < len(times), f"{name} goes on from a step that it never took"
        lost = times[step:]
        self.repeated += len(lost) - 1
        gaps = [later - earlier for earlier, later in zip(lost, lost[1:], strict=False)]
        if len(gaps) > 1:  # the first has the save in it
            assert sum(gaps[1:]) <= self.interval + max(gaps[1:]), f"{name} lost {len(gaps)} steps after step {step}"
