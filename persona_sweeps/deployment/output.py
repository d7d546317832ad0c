"""Folders that are made of a run, of which each holds a record that says so."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from persona_sweeps.deployment.host import FinishedRun
from persona_sweeps.errors import UserError
from persona_sweeps.records.files import read_json


def require_free(folder: Path, run: FinishedRun, record: str) -> None:
    """Raise `UserError` if a folder can't be written, or holds anything but what was made of the same run before.

    `record` is the name of the file in it that says of which run it was made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent):
            pass
    except OSError as error:
        raise UserError(f"{folder} can't be written: {error.strerror}.") from None
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    run_id = (read_json(folder / record) or {}).get("run_id")
    if run_id != run.record["run_id"]:
        noun = Path(record).stem
        what = f"no {noun} of this run" if run_id is None else f"the {noun} of run {run_id}"
        raise UserError(f"{folder} exists, and holds {what}: give another folder with --out, or remove it.")


def made_of(run: FinishedRun) -> dict[str, Any]:
    """Return what a record says of the run that something was made of."""
    return {
        "run_id": run.record["run_id"],
        "run": run.name,
        "predictor": run.config.peft.label,
        "base": run.config.model.hub_id,
        "base_fingerprint": run.record["provenance"].get("model_fingerprint"),
        "licence": run.config.model.licence,
    }
