"""Read the record of a run: what was trained, and with what result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from persona_sweeps.records.files import read_json
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.identity import RUN_SCHEMA

STATUSES = ("running", "completed", "failed", "pruned")
UNTRAINED = {
    "steps": 0, "epochs": 0.0, "trainable_parameters": 0, "tokens": 0, "unique_tokens": 0, "examples": 0,
    "final_train_nll": None, "eval_nll": None, "best_eval_nll": None,
}  # fmt: skip
"""the training part of the record of a predictor that trains nothing"""


def read_record(folder: RunFolder) -> dict[str, Any] | None:
    """Return the record of a run; None if it is missing, unreadable or incomplete."""
    record = read_json(folder.record)
    return record if record is not None and _is_record(record) else None


def has_trained(folder: RunFolder, record: Mapping[str, Any]) -> bool:
    """Return whether a completed run's folder holds what it trained; true for a predictor that trains nothing."""
    return not record["training"].get("trainable_parameters") or folder.adapter.is_dir() or folder.model.is_dir()


def is_trained(folder: RunFolder) -> bool:
    """Return whether the run is completed and its folder holds what it trained."""
    record = read_record(folder)
    return record is not None and record["status"] == "completed" and has_trained(folder, record)


def _is_record(value: Mapping[str, Any]) -> bool:
    parts = all(isinstance(value.get(part), dict) for part in ("training", "provenance", "config"))
    return value.get("schema_version") == RUN_SCHEMA and value.get("status") in STATUSES and parts
