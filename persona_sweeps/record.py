"""The run record and the other files of a run's folder, written so that a crash leaves a whole file or none."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
STATUSES = ("running", "completed", "failed", "pruned")

SECRET_KEY = re.compile(r"(api_?key|token|secret|password|passwd|credential)s?$", re.IGNORECASE)
SECRET_VALUE = re.compile(r"\b(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|(?<![/@])(?<!revision=)[0-9a-f]{40}(?!/))\b")
ASSIGNMENT = re.compile(r"([\w.]+)=(\S+)")
"""an override inside a text, such as train.seed=1"""
NOT_SECRET = {"num_virtual_tokens", "max_tokens", "max_new_tokens", "all_tokens"}
PUBLIC = {"revision"}
"""keys whose values may look like a secret: a commit has as many hexadecimal digits as a W&B key"""
REDACTED = "<redacted>"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names the files of one run."""

    path: Path

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def hydra(self) -> Path:
        return self.path / ".hydra"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def checkpoint(self) -> Path:
        """What a run that is interrupted goes on from; gone once it has ended."""
        return self.path / "checkpoint"

    @property
    def lease(self) -> Path:
        """Says which process is training the run."""
        return self.path / "lease"

    @property
    def model(self) -> Path:
        """The whole model, where all of it was trained."""
        return self.path / "model"

    @property
    def log(self) -> Path:
        return self.path / "run.log"


def write_text(path: Path, text: str) -> None:
    """Replace a file whole: temporary file beside it, fsync, rename, fsync of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None when there is none, or it can't be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


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


def redacted(value: Any, key: str = "") -> Any:
    """Return a config with secrets replaced: values of keys that name one, and texts that look like one.

    In a text that holds overrides (`tracker.api_key=…`), their values are judged by their keys.
    """
    if isinstance(value, Mapping):
        return {name: redacted(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    if isinstance(value, str):
        if key in PUBLIC:
            return value
        return REDACTED if _names_secret(key) else _without_secrets(value)
    return value


def _names_secret(key: str) -> bool:
    return key not in NOT_SECRET and SECRET_KEY.search(key) is not None


def _without_secrets(text: str) -> str:
    def judged(found: re.Match[str]) -> str:
        return f"{found[1]}={REDACTED}" if _names_secret(found[1].rsplit(".", 1)[-1]) else found[0]

    return SECRET_VALUE.sub(REDACTED, ASSIGNMENT.sub(judged, text))
