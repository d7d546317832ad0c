"""Read the rows of any table: CSV, TSV, Parquet, JSON, JSON Lines, a folder saved by `datasets`, or an id of the hub.

    rows = open_rows("lines.csv", "dataset.path")
    for row in rows:                       # read as they are asked for
        row.values["quote"], row.place     # "lines.csv, line 12"
    rows.tally.check()                     # raises DataError with the rows that weren't valid
    rows.tally.dropped, rows.fingerprint()

What is wrong with a row by a caller's own rules also goes to `rows.tally.fault(row.place, "…")`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from persona_sweeps.data.paths import missing
from persona_sweeps.data.rows.csv_files import read_csv
from persona_sweeps.data.rows.json_files import CONVERSATION_KEYS, JsonDecoder, kind_of, read_json
from persona_sweeps.data.rows.row import BLANK, Row, Tally
from persona_sweeps.errors import DataError, did_you_mean
from persona_sweeps.hub import hub_answers

__all__ = ["BLANK", "CONVERSATION_KEYS", "JsonDecoder", "Row", "Rows", "Tally", "kind_of", "open_rows", "source_files"]

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
}
SAVED = ("dataset_dict.json", "state.json")
"""the files by which a folder that `datasets` saved is recognized"""
_failed: dict[str, str] = {}
"""what was said of ids of the hub that couldn't be loaded"""


@dataclass
class Rows:
    """The rows of a table; each iteration reads them again."""

    name: str
    """as the user gave it"""
    path: Path | None
    """the file or folder; None for an id of the hub"""
    split: str | None = None
    tally: Tally = field(default_factory=Tally)

    def __iter__(self) -> Iterator[Row]:
        if self.path is None or self.path.is_dir():
            return self._of_dataset()
        kind = SUFFIXES.get(self.path.suffix.lower()) or _sniffed(self.path)
        readers = {"csv": read_csv, "json": read_json, "parquet": _read_parquet}
        return readers[kind](self.path, self.tally)

    @property
    def files(self) -> list[Path]:
        """The files that are read; none for an id of the hub."""
        return [] if self.path is None else _files(self.path)

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the files' bytes; of the hub, of the fingerprint that `datasets` gives."""
        if self.path is None:
            return hashlib.sha256(self._dataset._fingerprint.encode()).hexdigest()
        if self.path.is_file():
            return _sha256(self.path)
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.relative_to(self.path)}\0{_sha256(file)}\n".encode())
        return digest.hexdigest()

    def _of_dataset(self) -> Iterator[Row]:
        for number, values in enumerate(self._dataset, start=1):
            yield Row(values, f"{self.name}, row {number}", f"row-{number}")

    @cached_property
    def _dataset(self) -> Any:
        found = _from_hub(self.name, self.split) if self.path is None else _from_folder(self.path)
        if not hasattr(found, "keys"):
            return found
        splits = list(found.keys())
        split = self.split or ("train" if "train" in splits else splits[0])
        if split not in splits:
            hint = did_you_mean(split, splits) or f" There are {', '.join(splits)}."
            raise DataError(f"{self.name} has no split {split}.{hint}")
        return found[split]


def open_rows(name: str, key: str, split: str | None = None) -> Rows:
    """Return the rows of the file, folder or hub data set that the config's `key` names.

    `split` chooses one of a data set's; None takes train. Nothing is read yet. Raises DataError for what doesn't exist.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return Rows(name, path, split)
    if path.is_dir():
        if any((path / file).is_file() for file in SAVED):
            return Rows(name, path, split)
        raise DataError(f"{key}={name} is a folder, and not one that datasets.save_to_disk made; give a file.")
    if _may_be_hub_id(name):
        return Rows(name, None, split)
    raise missing(name, key)


def source_files(*names: str | None) -> list[Path]:
    """Return the existing files behind these paths, for `Source.files`."""
    return [file for name in names if name is not None for file in _files(Path(name).expanduser())]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.is_file() else []


def _may_be_hub_id(name: str) -> bool:
    """Return whether a name that is no path can be an id: `owner/name`, or `owner/name:config`.

    It has no known suffix, and there is no folder here called owner.
    """
    is_path = Path(name).suffix.lower() in SUFFIXES or Path(name.partition("/")[0]).is_dir()
    return not is_path and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*(:\w[\w.-]*)?", name) is not None


def _sniffed(path: Path) -> str:
    """Return the format of a file without a known suffix, by its beginning."""
    with path.open("rb") as file:
        head = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"{", b"[")) or not head:
        return "json"
    raise DataError(f"{path}: its name must end in one of {', '.join(SUFFIXES)}, which says how it is read.")


def _read_parquet(path: Path, tally: Tally) -> Iterator[Row]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=256):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(values, f"{path}, row {number}", f"row-{number}")
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read as Parquet, after {number} rows: {_first_line(error)}") from None


def _from_folder(path: Path) -> Any:
    from datasets import load_from_disk

    try:
        return load_from_disk(str(path))
    except Exception as error:  # whatever a damaged folder makes it raise
        raise DataError(f"{path} can't be read by datasets.load_from_disk: {_first_line(error)}") from None


def _from_hub(name: str, split: str | None) -> Any:
    """Return a data set of the hub; a name that failed isn't tried again, since that takes half a minute offline."""
    hub_answers()
    from datasets import load_dataset

    if name not in _failed:
        hub_id, _, config = name.partition(":")
        try:
            return load_dataset(hub_id, config or None, split=split)
        except Exception as error:  # whatever the network, or a data set, makes it raise
            _failed[name] = (
                f"{name} is no file or folder here, and can't be loaded as a data set of the hub: {_first_line(error)} "
                "Without a network, download it elsewhere and give its files' path."
            )
    raise DataError(_failed[name])


def _first_line(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if text.endswith(".") else f"{text}."


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
