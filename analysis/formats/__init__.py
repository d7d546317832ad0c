"""The forms that a table is printed in: one module a format.

To add one, write a module with `render(tables) -> str`; name it in `FORMATS`. All of them show the same cells; CSV and
JSON have the raw rows at full precision, with run ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from ..tables.table import Table


class TableFormat(Protocol):
    """What a module of a format has."""

    def render(self, tables: Sequence[Table]) -> str: ...


@dataclass(frozen=True)
class FormatEntry:
    """`suffix` is that of its files; `summary` is for --help; `single` where its text holds one table only."""

    suffix: str
    summary: str
    module: str
    single: bool = False


FORMATS: dict[str, FormatEntry] = {
    "md": FormatEntry(".md", "Markdown, each table whole", ".md"),
    "csv": FormatEntry(".csv", "the raw rows of one table at full precision", ".csv", single=True),
    "latex": FormatEntry(".tex", "booktabs tables to \\input", ".latex"),
    "html": FormatEntry(".html", "one page that needs no network", ".html"),
    "json": FormatEntry(".json", "the cells as printed, and the raw rows with run ids", ".json"),
}
"""Each format by the name that `--format` takes."""


def load(name: str) -> TableFormat:
    """Import a format."""
    return cast(TableFormat, import_module(FORMATS[name].module, __package__))
