"""The files of stories: rows of a table, or line-aligned files of prompts and stories, as WritingPrompts has them.

train.wp_source   [ WP ] The last man on Earth hears a knock .
train.wp_target   `` Who 's there ? '' he asked . <newline> Nobody answered .
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from persona_sweeps.data.rows.files import Rows, open_rows
from persona_sweeps.data.rows.row import BLANK, Row, Tally, decode_line
from persona_sweeps.errors import DataError, did_you_mean

SOURCE, TARGET = ".wp_source", ".wp_target"
PARTS = ("train", "test", "valid")
"""what the names of a given split begin with"""


@dataclass
class Aligned:
    """Rows of two files, whose lines belong together: prompts and stories."""

    source: Path
    target: Path
    tally: Tally = field(default_factory=Tally)

    def __iter__(self) -> Iterator[Row]:
        with self.source.open("rb") as sources, self.target.open("rb") as targets:
            for number, pair in enumerate(zip_longest(sources, targets), start=1):
                lines = {}
                for key, path, raw in zip(("prompt", "story"), (self.source, self.target), pair, strict=True):
                    if raw is None:
                        raise DataError(
                            f"{path} ends before line {number}, which {self._other(path)} has: the two files must have "
                            "a story for each prompt, line by line."
                        )
                    try:
                        lines[key] = decode_line(raw).removeprefix("\ufeff" if number == 1 else "").rstrip("\r\n")
                    except ValueError as error:
                        self.tally.fault(f"{path}, line {number}", str(error))
                if not any(line.strip() for line in lines.values()):
                    self.tally.dropped[BLANK] += 1
                elif len(lines) == 2:
                    yield Row(lines, f"{self.source}, line {number}", f"line-{number}")

    @property
    def files(self) -> list[Path]:
        return [self.source, self.target]

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the files' bytes."""
        digest = hashlib.sha256()
        for path in self.files:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def _other(self, path: Path) -> Path:
        return self.target if path == self.source else self.source


def open_parts(name: str, eval_name: str | None) -> Mapping[str, Rows | Aligned]:
    """Return the rows by part: `train`, and where they are given `test` and `valid`.

    `name` is a table, a `.wp_source` file, or a folder of them. Raises DataError for what doesn't exist, or a file
    without its partner.
    """
    path = Path(name).expanduser()
    parts: dict[str, Rows | Aligned] = {}
    if path.is_dir() and any(path.glob(f"*{SOURCE}")):
        parts = dict(_in_folder(path))
    elif path.suffix in (SOURCE, TARGET):
        parts["train"] = _aligned(path, "dataset.path")
    else:
        parts["train"] = open_rows(name, "dataset.path")
    if eval_name is not None:
        test = Path(eval_name).expanduser()
        aligned = test.suffix in (SOURCE, TARGET)
        parts["test"] = _aligned(test, "dataset.eval_path") if aligned else open_rows(eval_name, "dataset.eval_path")
    return parts


def _in_folder(folder: Path) -> Iterator[tuple[str, Aligned]]:
    """Yield the parts in a folder: train, test and valid, or the only pair of files as train."""
    found = sorted(folder.glob(f"*{SOURCE}"))
    by_part = {part: file for part in PARTS for file in found if file.name.casefold().startswith(part)}
    if not by_part and len(found) == 1:
        by_part = {"train": found[0]}
    if "train" not in by_part:
        names = ", ".join(file.name for file in found)
        raise DataError(f"dataset.path={folder} holds {names}, and none of them is train{SOURCE}.")
    for part, file in by_part.items():
        yield part, _aligned(file, "dataset.path")


def _aligned(path: Path, key: str) -> Aligned:
    source, target = path.with_suffix(SOURCE), path.with_suffix(TARGET)
    for file in (source, target):
        if not file.is_file():
            names = [each.name for each in file.parent.glob("*")] if file.parent.is_dir() else []
            raise DataError(f"{key}={path}: {file} doesn't exist.{did_you_mean(file.name, names)}")
    return Aligned(source, target)
