"""Read the record of a run: what was trained, and with what result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from persona_sweeps.records.files import read_json
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.identity import RUN_SCHEMA
from persona_sweeps.records.seals import Seal, is_unchanged, seal_all

SEALED = (".safetensors", ".json")
"""endings of the files of an adapter or model whose change is noticed; its card may be edited"""
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
    """Return whether a completed run's folder holds what it trained, unchanged; true if it trained nothing."""
    if not record["training"].get("trainable_parameters"):
        return True
    return (folder.adapter.is_dir() or folder.model.is_dir()) and not changed_weights(folder, record)


def is_trained(folder: RunFolder) -> bool:
    """Return whether the run is completed and its folder holds what it trained."""
    record = read_record(folder)
    return record is not None and record["status"] == "completed" and has_trained(folder, record)


def sealed_files(folder: RunFolder) -> dict[str, Seal]:
    """Return the seals of what a run trained, and of its history, for its record. Raises OSError."""
    trained = [path for root in (folder.adapter, folder.model) for path in root.rglob("*") if path.suffix in SEALED]
    return seal_all(folder.path, [*trained, folder.history])


def changed_weights(folder: RunFolder, record: Mapping[str, Any]) -> list[Path]:
    """Return the sealed files of the adapter or model that are there, but not as they were written.

    Where the whole folder was removed, to save disk, nothing has changed.
    """
    return [
        folder.path / name
        for name, recorded in _seals(record).items()
        if (root := folder.path / name.partition("/")[0]) in (folder.adapter, folder.model)
        and root.is_dir()
        and not is_unchanged(folder.path / name, recorded)
    ]


def history_has_changed(folder: RunFolder, record: Mapping[str, Any]) -> bool:
    """Return whether a completed run's history isn't as it was written: curves may have holes."""
    recorded = _seals(record).get(folder.history.name)
    return recorded is not None and not is_unchanged(folder.history, recorded)


def _seals(record: Mapping[str, Any]) -> Mapping[str, Seal]:
    provenance = record.get("provenance")
    found = provenance.get("files") if isinstance(provenance, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _is_record(value: Mapping[str, Any]) -> bool:
    parts = all(isinstance(value.get(part), dict) for part in ("training", "provenance", "config"))
    return value.get("schema_version") == RUN_SCHEMA and value.get("status") in STATUSES and parts
