"""Looks at a sweep after each kill, and sees whether anything was lost or done twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.results import beginnings, lines

Identity = tuple[int, int]
"""inode and time of a file: it stays what it is as long as nobody writes it anew"""


@dataclass
class Kept:
    """What runs in an output folder were seen to be completed."""

    output: Path
    completed: dict[str, Identity] = field(default_factory=dict)

    def look(self) -> None:
        """See that no completed record was written anew."""
        for record in sorted(self.output.glob("runs/*/run.json")):
            name, stat = record.parent.name, record.stat()
            identity = stat.st_ino, stat.st_mtime_ns
            if name in self.completed:
                assert identity == self.completed[name], f"{name} was completed, and is written again"
            elif json.loads(record.read_text())["status"] == "completed":
                self.completed[name] = identity


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
            began = beginnings(folder) if log.exists() else []
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
