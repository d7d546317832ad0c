"""Check single values of rows."""

from __future__ import annotations

import re
from typing import Any

from persona_sweeps.data.rows.json_files import kind_of
from persona_sweeps.data.rows.row import RowError


def whole_text(text: str, key: str) -> str:
    """Return a text unchanged. Raises RowError for one that can't be written as UTF-8."""
    if re.search(r"[\ud800-\udfff]", text):
        raise RowError(f'"{key}" holds half of a character (a lone surrogate such as \\ud83d)')
    return text


def text_of(value: Any, key: str) -> str:
    """Return a text; "" for null, and a number as it is written. Raises RowError for any other value."""
    if value is None:
        return ""
    if isinstance(value, str):
        return whole_text(value, key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "" if value != value else str(value)  # NaN is how pandas writes an empty field
    raise RowError(f'"{key}" must be a text, not {kind_of(value)}')


def label(value: Any, key: str) -> str | None:
    """Return a name as text; a whole number is a name, too; None for null and "".

    Raises RowError for any other value.
    """
    if isinstance(value, float) and (value != value or value.is_integer()):
        value = None if value != value else int(value)
    if value is None or isinstance(value, str):
        return whole_text(value, key) if value else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RowError(f'"{key}" must be a string or a whole number, not {kind_of(value)}')
