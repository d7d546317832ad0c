"""Examples in a file of the cache, for sources with more of them than memory should hold.

A source that streams is read once for each version of its files. Each example becomes a record, and only the records'
places are held in memory: 16 bytes an example. Examples are read when they are asked for.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, overload

from persona_sweeps.cache import cache_dir
from persona_sweeps.data.clusters import INDEX, Name
from persona_sweeps.data.example import Example, content_line, example_of
from persona_sweeps.errors import DataError
from persona_sweeps.records.files import read_json, replacing, write_json

log = logging.getLogger(__name__)

MANIFEST = "spool.json"
PARTS = ("examples", "held_out", "validation")
READ_AT_ONCE = 1 << 20
"""bytes of a file that are read in one go when records are read in their order"""


class Read(Protocol):
    """What a source has read (`source.Reading`); examples may be read only as they are asked for."""

    @property
    def examples(self) -> Iterable[Example]: ...
    @property
    def held_out(self) -> Iterable[Example] | None: ...
    @property
    def validation(self) -> Iterable[Example] | None: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def dropped(self) -> Mapping[str, int]: ...
    @property
    def hint(self) -> str: ...
    @property
    def notes(self) -> Sequence[str]: ...


class Records(Sequence[bytes]):
    """Byte strings in a file, by index; a file beside it has the places where they end."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._ends = array(INDEX)
        ends = _ends_file(path)
        with ends.open("rb") as file:
            self._ends.fromfile(file, ends.stat().st_size // self._ends.itemsize)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Any) -> Any:
        start = self._ends[index - 1] if index else 0
        return os.pread(self._file.fileno(), self._ends[index] - start, start)

    def __iter__(self) -> Iterator[bytes]:
        """Yield all of them, many at a time from the disk."""
        first = 0
        while first < len(self):
            begin = self._ends[first - 1] if first else 0
            after = first + 1
            while after < len(self) and self._ends[after] - begin <= READ_AT_ONCE:
                after += 1
            block = os.pread(self._file.fileno(), self._ends[after - 1] - begin, begin)
            starts = [0, *(end - begin for end in self._ends[first:after])]
            yield from (block[start:end] for start, end in pairwise(starts))
            first = after


class RecordWriter:
    """Writes a file for `Records`."""

    def __init__(self, path: Path) -> None:
        self._path, self._file, self._ends = path, path.open("wb"), array(INDEX)
        self._place = 0

    def add(self, record: bytes) -> None:
        self._file.write(record)
        self._place += len(record)
        self._ends.append(self._place)

    def close(self) -> None:
        self._file.close()
        with _ends_file(self._path).open("wb") as file:
            self._ends.tofile(file)


class Names(Sequence[Name]):
    """What a split knows of each example of a spool."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: Any) -> Any:
        return Name(*json.loads(self._records[index]))

    def __iter__(self) -> Iterator[Name]:
        return (Name(*json.loads(record)) for record in self._records)


@dataclass(frozen=True, eq=False)
class Spooled(Sequence[Example]):
    """Some of the examples of a spool, in some order; each is read anew whenever it is asked for."""

    records: Records
    all_names: Names
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Spooled: ...
    def __getitem__(self, index: int | slice) -> Example | Spooled:
        if isinstance(index, slice):
            return Spooled(self.records, self.all_names, self.indices[index])
        content, _, metadata = self.records[self.indices[index]].partition(b"\n")
        return example_of(content, json.loads(metadata))

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    @property
    def names(self) -> Sequence[Name]:
        if isinstance(self.indices, range):
            return self.all_names
        return [self.all_names[index] for index in self.indices]

    def content_lines(self) -> Iterator[bytes]:
        """Yield what `content_line` gives for each example, as it was written."""
        for index in self.indices:
            content, end, _ = self.records[index].partition(b"\n")
            yield content + end

    def select(self, indices: Sequence[int]) -> Spooled:
        return Spooled(self.records, self.all_names, array(INDEX, (self.indices[index] for index in indices)))


def names_of(examples: Sequence[Example]) -> Sequence[Name]:
    """Return what a split knows of each example."""
    if isinstance(examples, Spooled):
        return examples.names
    return [Name(example.cluster, example.id, example.persona) for example in examples]


def selected(examples: Sequence[Example], indices: Sequence[int]) -> Sequence[Example]:
    """Return the examples at these indices, in memory or not, as they were."""
    return examples.select(indices) if isinstance(examples, Spooled) else tuple(examples[index] for index in indices)


def spooled(key: str | None, read: Callable[[], Read]) -> dict[str, Any]:
    """Return what `read` gives as keyword arguments of its class, with examples that aren't held in memory.

    `key` is the same as long as the source would give the same; None keeps nothing for another process. Raises what
    `read` and its examples raise, and DataError if the disk is too small for them.
    """
    folder = _folder(key)
    found = _opened(folder)
    if found is None:
        try:
            with replacing(folder, unless=lambda: _opened(folder) is not None) as draft:
                _write(draft, read())
        except OSError as error:
            raise DataError(
                f"The examples of this source don't fit in memory and can't be written to {folder} ({error}): make "
                "room there, or set PERSONA_SWEEPS_CACHE to a folder with more."
            ) from error
        found = _opened(folder)
    assert found is not None
    return found


def _folder(key: str | None) -> Path:
    if key is not None:
        return cache_dir() / "spool" / key
    parent = tempfile.mkdtemp(dir=cache_dir(), prefix="spool-")
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    return Path(parent) / "once"


def _write(folder: Path, read: Read) -> None:
    for part in PARTS:
        if (examples := getattr(read, part)) is None:
            continue
        records, names = RecordWriter(folder / part), RecordWriter(folder / f"{part}-names")
        for example in examples:
            records.add(content_line(example) + json.dumps(example.metadata, default=str).encode())
            names.add(json.dumps([example.cluster, example.id, example.persona]).encode())
        records.close()
        names.close()
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    facts = {"fingerprint": read.fingerprint, "dropped": dict(read.dropped), "hint": read.hint}
    write_json(folder / MANIFEST, {**facts, "notes": list(read.notes), "files": sizes})


def _opened(folder: Path) -> dict[str, Any] | None:
    """Return what a spool holds; None if it is absent or incomplete."""
    facts = read_json(folder / MANIFEST)
    if facts is None:
        return None
    sizes = facts.pop("files")
    if any(not (folder / name).exists() or (folder / name).stat().st_size != size for name, size in sizes.items()):
        log.warning("The examples in %s are damaged and are read again.", folder)
        return None
    parts = {part: _part(folder / part) for part in PARTS if part in sizes}
    return {**facts, "notes": tuple(facts["notes"]), **parts}


def _part(path: Path) -> Spooled:
    records = Records(path)
    return Spooled(records, Names(Records(path.with_name(f"{path.name}-names"))), range(len(records)))


def _ends_file(path: Path) -> Path:
    return path.with_name(f"{path.name}-ends")
