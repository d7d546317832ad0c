"""What tests do with tables as JSON."""

from __future__ import annotations

from typing import Any


def rows_of(section: Any) -> list[dict[str, str]]:
    """Return the rows of a section, by heading."""
    headings = [column["heading"] for column in section["columns"]]
    return [dict(zip(headings, row, strict=True)) for row in section["rows"]]
