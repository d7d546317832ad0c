"""Write and read predictions: a line an item, and a head with the request and a hash of the lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from persona_sweeps.records.files import json_lines, read_json, set_aside, write_json, write_text
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.identity import RUN_SCHEMA


@dataclass(frozen=True, slots=True)
class Predictions:
    """One request's predictions: `head` describes it (`request`, `decoding`, `items`, …); `lines` has a row an item."""

    head: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]


def write_predictions(
    folder: RunFolder, prediction_id: str, head: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
) -> None:
    """Write the lines, then the head: predictions without a head don't count. Raises OSError."""
    text = json_lines(lines)
    write_text(folder.prediction_lines(prediction_id), text)
    names = {"schema_version": RUN_SCHEMA, "prediction_id": prediction_id}
    checksum = {"items": len(lines), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    write_json(folder.prediction_head(prediction_id), {**names, **head, **checksum})


def read_predictions(folder: RunFolder, prediction_id: str) -> Predictions | None:
    """Return predictions; None if there are none, or their files have changed since they were written."""
    head = read_json(folder.prediction_head(prediction_id))
    if head is None or head.get("schema_version") != RUN_SCHEMA or head.get("prediction_id") != prediction_id:
        return None
    try:
        written = folder.prediction_lines(prediction_id).read_bytes()
        lines = [json.loads(line) for line in written.splitlines()]
    except (OSError, ValueError):
        return None
    unchanged = hashlib.sha256(written).hexdigest() == head.get("sha256") and len(lines) == head.get("items")
    return Predictions(head, lines) if unchanged else None


def set_aside_broken(folder: RunFolder, prediction_id: str) -> str | None:
    """Rename predictions whose files have changed, so that they are made again; return a message, or None."""
    lines, head = folder.prediction_lines(prediction_id), folder.prediction_head(prediction_id)
    if not (lines.exists() and head.exists()) or read_predictions(folder, prediction_id) is not None:
        return None
    set_aside(head)
    return f"{lines} has changed since it was written; it was set aside as {set_aside(lines).name} and is made again."
