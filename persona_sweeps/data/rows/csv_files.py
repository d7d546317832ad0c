"""Read rows from CSV and TSV, as Excel, pandas and others write them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from persona_sweeps.data.rows.row import BLANK, Row, Tally, decode_line
from persona_sweeps.errors import DataError

LONGEST_FIELD = 2**31 - 1
REMEDY = "a field that holds the delimiter or a line break must stand in quotes"


def read_csv(path: Path, tally: Tally) -> Iterator[Row]:
    """Yield the rows below the header; those with more or fewer fields than it has are noted in `tally`.

    A row's place is the line on which it begins. Raises DataError for a quote that isn't closed and for bytes that
    aren't UTF-8, since what follows can't be divided into rows.
    """
    csv.field_size_limit(LONGEST_FIELD)
    header: list[str] | None = None
    begin = 1
    lines = _lines(path)
    reader = csv.reader(lines, delimiter=_delimiter(path), strict=True)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path}, line {begin}: {_reason(error, reader.line_num - begin)}") from None
        if fields is None:
            return
        place, name = f"{path}, line {begin}", f"line-{begin}"
        begin = reader.line_num + 1
        if not fields:
            tally.dropped[BLANK] += 1
        elif header is None:
            header = _header(fields, place)
        elif len(fields) != len(header):
            tally.fault(place, f"{len(fields)} fields where the header has {len(header)}: {REMEDY}")
        else:
            yield Row(dict(zip(header, fields, strict=True)), place, name)


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = decode_line(raw)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: {error}.") from None
            yield line.removeprefix("\ufeff") if number == 1 else line


def _delimiter(path: Path) -> str:
    """Return what divides the fields of the first line: a tab in TSV, else the most frequent of the usual ones."""
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    first = next((line for line in _lines(path) if line.strip()), "")
    return max(",;\t|", key=first.count)


def _header(fields: list[str], place: str) -> list[str]:
    names = [name.strip() for name in fields]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise DataError(f'{place}: two columns are called "{repeated[0]}"; rename one.')
    return names


def _reason(error: csv.Error, more_lines: int) -> str:
    if "unexpected end" in str(error):
        return "a quote opens in this row and is never closed."
    if "expected after" in str(error):
        over = f" (the row goes over {more_lines + 1} lines)" if more_lines > 0 else ""
        return f'a quoted field goes on after its closing quote{over}; a quote inside one is written as "".'
    return f"bad CSV ({error})."
