"""Cache prepared data on disk: each entry is a folder, complete or absent, whose bytes are checked before use."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_sweeps.data.rendering import RenderedExample
from persona_sweeps.data.windows import Windows
from persona_sweeps.records.files import replacing

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

MANIFEST = "prepared.json"
PARTS = ("train", "eval", "validation", "prompts")


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


def to_dataset(examples: Sequence[RenderedExample]) -> Dataset:
    """Return examples as a Dataset, one row each."""
    from datasets import Dataset, Features, List, Value

    text, number = Value("string"), Value("int32")
    features = Features(
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
    rows = [asdict(example) for example in examples]
    return Dataset.from_dict({name: [row[name] for row in rows] for name in features}, features=features)


def load_entry(folder: Path) -> PreparedData | None:
    """Return the data of one cache entry, or None if it is absent or damaged."""
    from datasets import load_from_disk

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
        parts = {part: load_from_disk(str(folder / part)) for part in manifest.pop("parts")}
        return PreparedData(**manifest, **parts)
    except Exception as error:  # whatever is wrong with an entry, it is made again
        log.warning("The cached data in %s are damaged (%s) and are made again.", folder, error)
        return None


def save_entry(folder: Path, data: PreparedData) -> PreparedData:
    """Write `data` as the cache entry `folder`, and return it as read from there.

    If two processes write at the same time, either may win. If the cache can't be written, `data` is returned
    unchanged, with a warning.
    """
    try:
        with replacing(folder, unless=lambda: load_entry(folder) is not None) as draft:
            _write(draft, data)
    except OSError as error:
        log.warning("The prepared data can't be cached in %s (%s); they are made again next time.", folder, error)
        return data
    return load_entry(folder) or data


def _write(folder: Path, data: PreparedData) -> None:
    parts = {part: rows for part in PARTS if (rows := getattr(data, part)) is not None}
    with _no_progress_bars():
        for part, rows in parts.items():
            rows.save_to_disk(str(folder / part))
    manifest: dict[str, Any] = {f.name: getattr(data, f.name) for f in fields(data) if f.name not in PARTS}
    manifest |= {"parts": list(parts), "files": _checksums(folder)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of an entry except its manifest."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST)
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
