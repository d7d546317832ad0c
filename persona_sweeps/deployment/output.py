"""Folders that are made of a run, of which each holds a record that says so."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

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
    made_of = (read_json(folder / record) or {}).get("run_id")
    if made_of != run.record["run_id"]:
        noun = Path(record).stem
        what = f"no {noun} of this run" if made_of is None else f"the {noun} of run {made_of}"
        raise UserError(f"{folder} exists, and holds {what}: give another folder with --out, or remove it.")
