"""What readers of rows share: the row with its place, and the faults of a file, reported together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from persona_sweeps.errors import DataError

BLANK = "blank line"
"""reason of `Tally.dropped` for lines without a character"""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: values by column.

    `place` is for errors ("lines.csv, line 12"); `name` is unique in its file and doesn't depend on the file's name
    ("line-12"), so that it can be the id of an example. `key` is the row's key where the file is one object of objects.
    """

    values: Mapping[str, Any]
    place: str
    name: str
    key: str | None = None


@dataclass
class Tally:
    """What was wrong in a file, and what was left out, by reason. All faults are counted, and the first few kept."""

    shown: int = 5
    faults: list[str] = field(default_factory=list)
    count: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def fault(self, place: str, sentence: str) -> None:
        """Note that the row at `place` can't be used."""
        self.count += 1
        if len(self.faults) < self.shown:
            self.faults.append(f"{place}: {sentence}{'' if sentence[-1:] in '.?' else '.'}")

    def check(self) -> None:
        """Raise DataError with the first faults, if there is any."""
        if self.count:
            more = f"\n… and {self.count - len(self.faults)} more." if self.count > len(self.faults) else ""
            plural = "s are" if self.count > 1 else " is"
            raise DataError(f"{self.count} line{plural} not valid:\n" + "\n".join(self.faults) + more)


def decode_line(raw: bytes) -> str:
    """Return a line's text. Raises ValueError, with a sentence that names the byte, for what isn't UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} isn't UTF-8; save the file as UTF-8") from None


class RowError(ValueError):
    """The reason why a row is no example; the reader of the file adds its place."""
