"""Read the record of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from persona_sweeps.records.files import read_json
from persona_sweeps.records.folders import RunFolder

SCHEMA_VERSION = 1
STATUSES = ("running", "completed", "failed", "pruned")


def read_record(folder: RunFolder) -> dict[str, Any] | None:
    """Return the record of a run, or None when there is none that can be read and has the parts of one."""
    record = read_json(folder.record)
    return record if record is not None and _is_record(record) else None


def _is_record(value: Mapping[str, Any]) -> bool:
    parts = isinstance(value.get("metrics"), dict) and isinstance(value.get("provenance"), dict)
    return value.get("schema_version") == SCHEMA_VERSION and value.get("status") in STATUSES and parts


def is_completed(folder: RunFolder) -> bool:
    record = read_record(folder)
    return record is not None and record.get("status") == "completed"
