"""A column is declared once: what is printed and what is raw come from the same value."""

from __future__ import annotations

from analysis.statistics.spread import Interval, spread
from analysis.tables.numbers import Reading, by, three_decimals
from analysis.tables.table import Column, cells, raw_rows, shown

ROWS = [{"name": "a", "values": [1.0, 3.0], "n": 2}, {"name": "b", "values": [], "n": 1}]
COLUMNS = [
    Column("name", right=False, value=lambda row: row["name"], raw="name"),
    Column("value", value=lambda row: reading(row), form=by(three_decimals), raw="value"),
    Column(value=lambda row: row["n"], raw="n"),
    Column("twice", value=lambda row: 2 * row["n"] if row["n"] > 1 else None),
]


def reading(row: dict) -> Reading:
    found = spread(row["values"])
    return Reading(found, row["n"], Interval(1.5, 2.5) if found else None)


def test_what_has_a_heading_is_printed_and_nothing_is_a_dash() -> None:
    assert [column.heading for column in shown(COLUMNS)] == ["name", "value", "twice"]
    assert cells(COLUMNS, ROWS) == [["a", "2.000 ± 1.414 [1.500, 2.500]", "4"], ["b", "–", "–"]]


def test_what_has_a_raw_name_is_raw_at_full_precision() -> None:
    first, second = raw_rows(COLUMNS, ROWS)
    ends = {"value_low": 1.5, "value_high": 2.5}
    assert first == {"name": "a", "value": 2.0, "value_sd": 2**0.5, "value_n": 2, **ends, "n": 2}
    assert second == {"name": "b", "value": None, "value_sd": None, "value_n": 0, "n": 1}


def test_columns_are_equal_by_what_is_seen_of_them() -> None:
    assert Column("a", value=len) == Column("a", value=sum) != Column("a", right=False)
