"""The raw rows of a table as CSV, at full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from persona_sweeps.errors import UserError

from ..tables.table import Table


def render(tables: Sequence[Table]) -> str:
    """Return the raw rows; a value that is unknown is empty. Raises `UserError` for more than one table."""
    if len(tables) != 1:
        raise UserError(f"CSV holds one table, and there are {len(tables)}: name the one, or choose --format json.")
    (table,) = tables
    columns = list(dict.fromkeys(key for row in table.raw for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.raw)
    return text.getvalue()
