"""Read what the W&B client writes offline, with W&B's own message types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, FILE_HEADER, RECORD_HEADER = 32768, 7, 7


def frames(path: Path) -> Iterator[bytes]:
    """Yield the records of a .wandb file: LevelDB's log format after a header of seven bytes."""
    data, offset, parts = path.read_bytes(), FILE_HEADER, b""
    while offset + RECORD_HEADER <= len(data):
        room = BLOCK - offset % BLOCK
        if room < RECORD_HEADER:
            offset += room
            continue
        length, kind = int.from_bytes(data[offset + 4 : offset + 6], "little"), data[offset + 6]
        parts += data[offset + RECORD_HEADER : offset + RECORD_HEADER + length]
        offset += RECORD_HEADER + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield parts
            parts = b""


class Recorded:
    """The parts of a .wandb file that these tests look at."""

    def __init__(self, path: Path) -> None:
        from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

        self.folder = path.parent
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.exit_codes: list[int] = []
        self.metrics: dict[str, Any] = {}
        self.artifacts: dict[str, Any] = {}
        for frame in frames(path):
            record = Record.FromString(frame)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.run = record.run
                self.config |= as_dict(record.run.config.update)
            elif kind == "config":
                self.config |= as_dict(record.config.update)
            elif kind == "history":
                self.history.append(as_dict(record.history.item))
            elif kind == "summary":
                self.summary |= as_dict(record.summary.update)
            elif kind == "exit":
                self.exit_codes.append(record.exit.exit_code)
            elif kind == "metric":
                self.metrics[record.metric.name] = record.metric
            elif kind == "artifact":
                self.artifacts[record.artifact.name] = record.artifact.type

    def curve(self, key: str) -> list[tuple[int, float]]:
        return [(row["step"], row[key]) for row in self.history if key in row and "step" in row]


def as_dict(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def read_all(root: Path) -> dict[str, Recorded]:
    """Return all offline runs below a folder by their ids."""
    found = [Recorded(path) for path in root.rglob("offline-run-*/run-*.wandb")]
    assert len({one.run.run_id for one in found}) == len(found)
    return {one.run.run_id: one for one in found}
