"""Cache prepared data on disk: each entry is a folder, complete or absent, whose bytes are checked before use."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_sweeps.data.rendering import RenderedExample
from persona_sweeps.data.windows import Windows
from persona_sweeps.records.files import replacing

if TYPE_CHECKING:
    from datasets import Dataset, Features

log = logging.getLogger(__name__)

MANIFEST = "prepared.json"
PARTS = ("train", "eval", "validation", "prompts")
ARROW = ".arrow"
ROWS_AT_ONCE = 2000
"""rows that are held in memory before they are written; reading the file touches a few pages of memory for so many"""


@dataclass(frozen=True, slots=True)
class PreparedData:
    """The data that a run trains and evaluates on; the columns of each part are the fields of `RenderedExample`.

    `dropped` counts the examples left out, by reason, `cut` those that lost their end. `data_fingerprint` is the
    SHA-256 (hex) of the source bytes.
    """

    train: Dataset
    eval: Dataset
    dropped: Mapping[str, int]
    data_fingerprint: str
    template_fingerprint: str
    stop_token_ids: tuple[int, ...]
    shots: Mapping[str, int] = field(default_factory=dict)
    """for few-shot prompts: how many solved examples each prompt has, and how many prompts have fewer"""
    validation: Dataset | None = None
    """what decides when training stops; None where nothing depends on it"""
    prompts: Dataset | None = None
    """what texts are generated for; None: `eval`"""
    windows: Windows | None = None
    """how examples longer than train.max_length are read; None: there are none"""
    cut: int = 0

    @property
    def texts(self) -> Dataset:
        """The rows whose prompts texts are generated for."""
        return self.eval if self.prompts is None else self.prompts


@dataclass(frozen=True, slots=True)
class PreparedPrompts:
    """The prompts of a metric's own, as rows like those of `PreparedData`, and how many were left out, by reason."""

    rows: Dataset
    dropped: Mapping[str, int]
    windows: Windows | None


def to_dataset(examples: Iterable[RenderedExample], file: Path | None = None) -> Dataset:
    """Return examples as a Dataset, one row each, in the file `file`.arrow, which isn't read into memory.

    None makes no file.
    """
    from datasets import Dataset
    from datasets.arrow_writer import ArrowWriter

    if file is None:
        return Dataset.from_list(list(map(_row, examples)), features=_features())
    arrow = file.with_suffix(ARROW)
    with ArrowWriter(features=_features(), path=str(arrow), writer_batch_size=ROWS_AT_ONCE) as writer:
        for example in examples:
            writer.write(_row(example))
        writer.finalize()
    return Dataset.from_file(str(arrow))


def _row(example: RenderedExample) -> dict[str, Any]:
    """Return an example as a row, its tokens as compact as they are written."""
    import numpy as np

    row = {key.name: getattr(example, key.name) for key in fields(example)}
    return row | {"input_ids": np.asarray(example.input_ids, dtype=np.int32)}


def _features() -> Features:
    from datasets import Features, List, Value

    text, number = Value("string"), Value("int32")
    return Features(
        id=text,
        cluster=text,
        persona=text,
        prompt=text,
        completion=text,
        input_ids=List(number),
        prompt_length=number,
        loss_from=number,
        completion_bytes=number,
        dialogue=text,
    )


def load_entry(folder: Path) -> PreparedData | None:
    """Return the data of one cache entry, or None if it is absent or damaged."""
    from datasets import Dataset

    if not folder.is_dir():
        return None
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        # Check only the files in the manifest: Dataset.map adds others.
        written, current = manifest.pop("files"), _checksums(folder)
        changed = [name for name, checksum in written.items() if current.get(name) != checksum]
        if changed:
            raise ValueError(f"{changed[0]} has changed")
        manifest["stop_token_ids"] = tuple(manifest["stop_token_ids"])
        manifest["windows"] = Windows(*manifest["windows"]) if manifest["windows"] is not None else None
        parts = {part: Dataset.from_file(str((folder / part).with_suffix(ARROW))) for part in manifest.pop("parts")}
        return PreparedData(**manifest, **parts)
    except Exception as error:  # whatever is wrong with an entry, it is made again
        log.warning("The cached data in %s are damaged (%s) and are made again.", folder, error)
        return None


def save_entry(folder: Path, make: Callable[[Path | None], PreparedData]) -> PreparedData:
    """Have `make` write the parts of a cache entry into a folder, and return the entry as read from there.

    If two processes write at the same time, either may win. If the cache can't be written, `make(None)` is returned,
    which is in memory, with a warning.
    """
    try:
        with replacing(folder, unless=lambda: load_entry(folder) is not None) as draft:
            _write_manifest(draft, make(draft))
    except OSError as error:
        log.warning("The prepared data can't be cached in %s (%s); they are made again next time.", folder, error)
        return make(None)
    return load_entry(folder) or make(None)


def _write_manifest(folder: Path, data: PreparedData) -> None:
    manifest: dict[str, Any] = {f.name: getattr(data, f.name) for f in fields(data) if f.name not in PARTS}
    parts = [part for part in PARTS if getattr(data, part) is not None]
    manifest |= {"parts": parts, "files": _checksums(folder)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of an entry except its manifest."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST)
    return {file.relative_to(folder).as_posix(): _sha256(file) for file in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
