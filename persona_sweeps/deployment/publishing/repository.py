"""The folder that becomes a repository: weights, model card, persona card and record."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persona_sweeps.deployment.cards import card_of, export_card, persona_of
from persona_sweeps.deployment.gguf.export import RECORD as GGUF
from persona_sweeps.deployment.host import FinishedRun
from persona_sweeps.deployment.merging import RECORD as MERGE
from persona_sweeps.deployment.output import require_free
from persona_sweeps.deployment.publishing.model_card import evaluations_of, model_card
from persona_sweeps.errors import UserError
from persona_sweeps.models.source import Origin, locate
from persona_sweeps.records.files import read_json, replacing, write_json, write_text
from persona_sweeps.records.redaction import redacted

RECORD, CARD, CHARACTER = "persona_sweeps.json", "README.md", "character.json"
PRIVATE = ("host_cpu",)
"""parts of a record that say something of its owner's machine"""
LINES = 5
"""of the character, in its card"""


@dataclass(frozen=True)
class Extras:
    """Folders that were made of the run, and go into the repository with it."""

    merged: Path | None = None
    gguf: Path | None = None

    @classmethod
    def of(cls, folders: Sequence[Path], run: FinishedRun) -> Extras:
        """Return what these folders are. Raises `UserError` for one that `merge` or `gguf` didn't make of this run."""
        found: dict[str, Path] = {}
        for folder in folders:
            kind = next((name for name in (MERGE, GGUF) if (folder / name).is_file()), None)
            if kind is None:
                raise UserError(f"{folder} was made by neither `persona-sweeps merge` nor `gguf`: it has no record.")
            made_of = (read_json(folder / kind) or {}).get("run_id")
            if made_of != run.record["run_id"]:
                raise UserError(f"{folder} was made of run {made_of}, not of {run.record['run_id']}.")
            found[kind] = folder
        return cls(found.get(MERGE), found.get(GGUF))


def write_repository(run: FinishedRun, folder: Path, repo: str, extras: Extras, output_dir: Path) -> None:
    """Write the folder, which replaces an earlier one of the same run.

    Raises `UserError` for what can't be published.
    """
    weights = run.folder.model if run.folder.model.is_dir() else _adapter(run)
    require_free(folder, run, RECORD)
    with replacing(folder) as draft:
        shutil.copytree(weights, draft, dirs_exist_ok=True)
        if extras.merged is not None:
            shutil.copytree(extras.merged, draft / "merged")
        gguf = sorted(extras.gguf.glob("*.gguf")) if extras.gguf is not None else []
        for path in gguf:
            shutil.copy2(path, draft)
        if persona_of(run.config) is not None and card_of(run.config) is not None:
            export_card(run, draft / CHARACTER, None, LINES)
        names = [path.name for path in gguf]
        write_text(draft / CARD, model_card(run, repo, RECORD, output_dir, extras.merged is not None, names))
        write_json(draft / RECORD, _record(run))


def _adapter(run: FinishedRun) -> Path:
    """Return the adapter's folder. Raises `UserError` if nothing was trained, or if the base is no model of the Hub."""
    if not run.folder.adapter.is_dir():
        raise UserError(f"{run.name} ({run.config.peft.label}) trained nothing here: there is nothing to publish.")
    if locate(run.config.model).origin is Origin.folder:
        raise UserError(
            f"{run.name} was trained on {run.config.model.hub_id}, a folder here, which nobody else has: merge it "
            "(persona-sweeps merge) and upload that folder with `hf upload`."
        )
    return run.folder.adapter


def _record(run: FinishedRun) -> dict[str, Any]:
    """Return the run's record and evaluations, without secrets, and without its owner's folders and machine."""
    record = dict(run.record)
    config = {key: value for key, value in record["config"].items() if key not in ("output_dir", "tracker")}
    provenance = {key: value for key, value in record["provenance"].items() if key not in PRIVATE}
    kept = {**record, "config": config, "provenance": provenance, "evaluations": evaluations_of(run)}
    found: dict[str, Any] = _without_folders(redacted(kept))
    return found


def _without_folders(value: Any) -> Any:
    """Return a value in which a file of this machine has its name alone."""
    if isinstance(value, dict):
        return {key: _without_folders(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_folders(one) for one in value]
    if isinstance(value, str) and value.startswith(("/", "~", "./", "../")):
        return Path(value).name
    return value
