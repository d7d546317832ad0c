"""Predictions on disk: a line an item, and a head that says what was asked and vouches for the lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from persona_sweeps.records.files import aside, json_lines, read_json, write_json, write_text
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.identity import RUN_SCHEMA


@dataclass(frozen=True, slots=True)
class Predictions:
    """`head` says what was asked (`request`, `decoding`, `items`, `data`, …); `lines` has a mapping an item."""

    head: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]


def write_predictions(
    folder: RunFolder, prediction_id: str, head: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
) -> None:
    """Write the lines, then the head: predictions without a head don't count. Raises OSError."""
    text = json_lines(lines)
    write_text(folder.prediction_lines(prediction_id), text)
    vouched = {"items": len(lines), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    about = {"schema_version": RUN_SCHEMA, "prediction_id": prediction_id}
    write_json(folder.prediction_head(prediction_id), {**about, **head, **vouched})


def read_predictions(folder: RunFolder, prediction_id: str) -> Predictions | None:
    """Return predictions; None when there are none, or they aren't what was written."""
    head = read_json(folder.prediction_head(prediction_id))
    if head is None or head.get("schema_version") != RUN_SCHEMA or head.get("prediction_id") != prediction_id:
        return None
    try:
        written = folder.prediction_lines(prediction_id).read_bytes()
        lines = [json.loads(line) for line in written.splitlines()]
    except (OSError, ValueError):
        return None
    vouched = hashlib.sha256(written).hexdigest() == head.get("sha256") and len(lines) == head.get("items")
    return Predictions(head, lines) if vouched else None


def set_aside_broken(folder: RunFolder, prediction_id: str) -> str | None:
    """Rename predictions that aren't what was written, so that they are made anew; return a sentence for each."""
    lines, head = folder.prediction_lines(prediction_id), folder.prediction_head(prediction_id)
    if not (lines.exists() and head.exists()) or read_predictions(folder, prediction_id) is not None:
        return None
    aside(head)
    return f"{lines} isn't what was written; it was set aside as {aside(lines).name} and is made anew."
