"""Tables as JSON, for programs: the cells as they are printed, and the raw rows at full precision with run ids.

    {"schema_version": 1, "tables": [{"title", "notes": [sentence],
      "sections": [{"title", "notes", "columns": [{"heading", "align"}], "rows": [[cell]],
                    "figures": [{"name", "caption"}]}],
      "raw": [{column: value}]}]}

In raw rows, `run_id` is a string and every `…run_ids` a list of strings. JSON has no infinity: such a number is the
string "Infinity", "-Infinity" or "NaN"; what is unknown is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..tables.table import Section, Table

SCHEMA_VERSION = 1


def render(tables: Sequence[Table]) -> str:
    """Return one JSON object."""
    document = {"schema_version": SCHEMA_VERSION, "tables": [_table(table) for table in tables]}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "notes": list(table.notes),
        "sections": [_section(table, section) for section in table.sections],
        "raw": [{key: _raw(key, value) for key, value in row.items()} for row in table.raw],
    }


def _section(table: Table, section: Section) -> dict[str, Any]:
    columns = table.columns_of(section)
    return {
        "title": section.title,
        "notes": list(section.notes),
        "columns": [{"heading": column.heading, "align": "right" if column.right else "left"} for column in columns],
        "rows": [list(row) for row in section.rows],
        "figures": [{"name": figure.name, "caption": figure.caption} for figure in section.figures],
    }


def _raw(key: str, value: Any) -> Any:
    if key.endswith("run_ids"):
        return str(value or "").split()
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return a value that JSON has."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
