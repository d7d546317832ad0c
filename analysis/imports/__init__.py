"""Results of others as records: one module a format, each a function from files to `ForeignRun`s.

To add one, write a module with `SUMMARY` and `read(path) -> list[ForeignRun]`; name it in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from .record import ForeignRun

FORMATS: dict[str, str] = {
    "peft_method_comparison": ".peft_method_comparison",
    "lm_eval": ".lm_eval",
    "csv": ".table",
}
"""the module of each format"""


class Reader(Protocol):
    """What the module of a format has."""

    SUMMARY: str

    def read(self, path: Path) -> Sequence[ForeignRun]:
        """Return the runs that a file or folder has; raises `DataError` for what isn't in this format."""
        ...


def load(name: str) -> Reader:
    """Import a format's module."""
    return cast(Reader, import_module(FORMATS[name], __package__))
