"""The published boards as they are rebuilt: cell for cell, flags included."""

from __future__ import annotations

import copy
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from analysis.published.boards import board, document, from_document, names
from analysis.published.rebuild import build, overview
from analysis.tables.table import Table
from persona_sweeps.errors import DataError, UserError

GOLDEN = Path(__file__).parent / "golden"

# What was printed, typed apart from the files that are tested.
NINE = {
    "Llama 3.1 8B Instruct": 0.345,
    "Llama 3 8B Instruct": 0.328,
    "Mistral 7B": 0.321,
    "Qwen3 32B": 0.320,
    "Gemma 3 27B": 0.316,
    "Llama 3 8B": 0.296,
    "Mistral 7B Instruct": 0.295,
    "Qwen2.5 14B": 0.289,
    "Qwen2.5 14B Instruct": 0.256,
}
LOG = {
    "Llama 3 8B": (0.296, 0.130, 0.228, 0.114, 0.160),
    "Llama 3 8B Instruct": (0.328, 0.148, 0.256, 0.122, 0.185),
    "Mistral 7B": (0.321, 0.141, 0.259, 0.126, 0.177),
    "Mistral 7B Instruct": (0.295, 0.130, 0.232, 0.113, 0.168),
    "Qwen2.5 14B": (0.289, 0.121, 0.223, 0.105, 0.159),
    "Qwen2.5 14B Instruct": (0.256, 0.084, 0.194, 0.078, 0.134),
}


def cells(table: Table) -> str:
    """Return every cell and note of a table, whatever form tables are printed in."""
    lines = [f"# {table.title}"]
    for section in table.sections:
        lines += ["", f"## {section.title}", " | ".join(column.heading for column in table.columns_of(section))]
        lines += [" | ".join(row) for row in section.rows]
        lines += [f"- {note}" for note in section.notes]
    return "\n".join([*lines, "", *(f"- {note}" for note in table.notes)]) + "\n"


def printed(name: str, table: str) -> dict[str, list[float | None]]:
    of = board(name).table(table)
    return {
        row.name: [
            None if (value := row.values[column.metric]) is None else float(value.value) for column in of.columns
        ]
        for row in of.rows
    }


@pytest.mark.parametrize("name", names())
def test_a_board_is_rebuilt_cell_for_cell(name: str) -> None:
    golden = GOLDEN / f"published_{name}.txt"
    assert cells(build(board(name))) == golden.read_text(encoding="utf-8")


def test_the_five_boards_are_there() -> None:
    expected = ["chandler", "documentary_personas", "friends_scripts", "potter_dialogue", "stories"]
    assert names() == expected
    assert [row[0] for row in overview().sections[0].rows] == expected


def test_the_numbers_are_those_that_were_printed() -> None:
    nine = printed("documentary_personas", "board")
    assert {name: values[0] for name, values in nine.items()} == NINE
    assert list(nine) == list(NINE)
    assert nine["Llama 3.1 8B Instruct"] == [0.345, 0.149, 0.135]
    assert {name: tuple(values) for name, values in printed("documentary_personas", "log").items()} == LOG
    assert printed("documentary_personas", "margins") == {"Llama": [10], "Mistral": [10], "Qwen": [13]}
    assert printed("documentary_personas", "differences") == {
        "Llama": [10.8, 13.8, 12.3, 7.0, 15.6],
        "Mistral": [-8.1, -7.8, -10.4, -10.3, -5.1],
        "Qwen": [None] * 5,
    }
    assert printed("potter_dialogue", "board") == {
        "base": [1.11, 10.64, 113.47, 0.59],
        "LoRA": [21.91, 26.75, 26.46, 0.95],
        "prompt tuning": [26.79, 35.21, 48.56, 0.75],
    }
    assert printed("chandler", "board") == {"before": [3.17], "after": [2.72]}
    assert list(printed("friends_scripts", "board").values()) == [[6.2981], [6.0045]]
    assert list(printed("stories", "board").values()) == [[8.5046], [9.2934], [9.5971]]


def test_only_what_is_known_of_items_and_decoding_is_told() -> None:
    tables = {(name, table.key): table for name in names() for table in board(name).tables}
    known = {place: table.n for place, table in tables.items() if table.n is not None}
    personas = {("documentary_personas", "board"): 62, ("documentary_personas", "margins"): 62}
    assert known == {**personas, ("chandler", "board"): 819}
    assert {place for place, table in tables.items() if table.decoding} == set(personas)
    assert all(board(name).unknown for name in names())


def test_of_the_readme_s_margins_two_are_flagged_with_what_their_columns_give() -> None:
    table = build(board("documentary_personas"))
    margins = next(section for section in table.sections if "margins of base" in section.title)
    flags = [note for note in margins.notes if note.startswith("Flag")]
    assert len(flags) == 2
    assert "Llama" in flags[0] and "+10 % is printed" in flags[0] and "+10.8 %" in flags[0]
    assert "Mistral" in flags[1] and "+10 % is printed" in flags[1] and "+8.8 %" in flags[1]
    recomputed = next(section for section in table.sections if section.title.startswith("Recomputed: margins"))
    assert [row[-1] for row in recomputed.rows if row[0] == "Qwen" and row[5] == "+13 %"] == ["follows"]


def test_every_number_has_its_source_unit_and_table_in_the_raw_rows() -> None:
    for name in names():
        raw = [row for row in build(board(name)).raw if row["kind"] == "printed"]
        counts = sum(
            value is not None for table in board(name).tables for row in table.rows for value in row.values.values()
        )
        assert len(raw) == counts > 0
        assert all(row["source"] and "n" in row and "decoding" in row and "unit" in row for row in raw)


def test_an_unknown_board_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"No published board is called 'poter_dialog'\. Did you mean potter_dialogue"):
        board("poter_dialog")


def test_a_path_is_no_board() -> None:
    with pytest.raises(UserError, match="No published board"):
        board("../reference/chandler")


def _broken(change: dict[str, Any], name: str = "chandler") -> dict[str, Any]:
    content: dict[str, Any] = copy.deepcopy(document(name))
    return content | change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema_version": 2}, "schema_version is 2"),
        ({"checks": [{"kind": "likelyhood"}]}, "no check 'likelyhood'. Did you mean likelihood"),
        ({"checks": [{"kind": "best", "table": "bord"}]}, "no table 'bord'. Did you mean board"),
    ],
)
def test_a_file_that_is_wrong_is_told_in_one_sentence(change: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError) as error:
        build(from_document(_broken(change)))
    assert told in str(error.value) and "chandler" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "3,17", "n/a", "1e5", "٣", "<b>1</b>", ".296", "0.1 ", "nan", 3.17])
def test_a_number_that_is_not_a_printed_one_is_refused(text: Any) -> None:
    content = _broken({})
    content["tables"][0]["rows"][0]["values"]["loss"] = text
    with pytest.raises(DataError, match="no printed number"):
        from_document(content)


def test_the_files_are_read_as_they_stand() -> None:
    for name in names():
        content = document(name)
        assert content["name"] == name
        assert json.loads(json.dumps(content)) == content
        assert all(isinstance(value.value, Fraction) for value in _values(name))


def _values(name: str) -> list[Any]:
    return [value for table in board(name).tables for row in table.rows for value in row.values.values() if value]
