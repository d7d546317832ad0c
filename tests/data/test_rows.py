"""Rows of tables: every format gives the same rows, and what isn't valid is reported with its place."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.data.rows.files import Row, Rows, open_rows
from persona_sweeps.errors import DataError

TABLE = [
    {"": "0", "quote": 'He said, "Nay;\tanswer me."', "speaker": "Bernardo"},
    {"": "1", "quote": "Two\nlines, and a third:\r\nthis", "speaker": ""},
    {"": "2", "quote": "Où est-il? „Hier“ — 你好 🙂", "speaker": "Zoë"},
]


def opened(path: Path, split: str | None = None) -> Rows:
    return open_rows(str(path), "dataset.path", split)


def values(path: Path) -> list[Any]:
    rows = opened(path)
    found = [row.values for row in rows]
    rows.tally.check()
    return found


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_csv(delimiter: str = ",", line_end: str = "\n") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(TABLE[0]), delimiter=delimiter, lineterminator=line_end)
    writer.writeheader()
    writer.writerows(TABLE)
    return text.getvalue()


def as_lines(line_end: str = "\n") -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + line_end for row in TABLE)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.csv", as_csv()),
        ("d.csv", as_csv(line_end="\r\n")),
        ("d.csv", as_csv(";")),
        ("d.tsv", as_csv("\t", "\r\n")),
        ("d.jsonl", as_lines()),
        ("d.jsonl", as_lines("\r\n")),
        ("d.jsonl", as_lines("\n\n")),
        ("d.txt", as_lines()),
        ("d.jsonl", as_lines(" ")),
        ("d.jsonl", "\n".join(json.dumps(row, indent=2) for row in TABLE)),
        ("d.json", as_lines()),
        ("d.json", json.dumps(TABLE)),
        ("d.json", json.dumps(TABLE, indent=1)),
        ("d.json", json.dumps({"version": 3, "data": TABLE}, indent=1)),
        ("d.json", json.dumps({"a": TABLE[0], "b": TABLE[1], "c": TABLE[2]})),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, content: str, mark: str) -> None:
    assert values(written(tmp_path / name, mark + content)) == TABLE


def test_parquet_and_a_saved_folder_give_the_same_rows(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    data = Dataset.from_list(TABLE)
    data.to_parquet(tmp_path / "d.parquet")
    data.save_to_disk(tmp_path / "one")
    DatasetDict({"test": data.select([0]), "train": data}).save_to_disk(tmp_path / "parts")
    assert values(tmp_path / "d.parquet") == values(tmp_path / "one") == values(tmp_path / "parts") == TABLE
    assert [row.place for row in opened(tmp_path / "parts", "test")] == [f"{tmp_path / 'parts'}, row 1"]
    with pytest.raises(DataError, match="no split tset. Did you mean test"):
        list(opened(tmp_path / "parts", "tset"))
    assert opened(tmp_path / "one").fingerprint() == opened(tmp_path / "one").fingerprint()
    assert opened(tmp_path / "one").fingerprint() != opened(tmp_path / "parts").fingerprint()


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("d.csv", 'a,b\n1,"x\ny"\n\n2,z\n', [("line 2", "line-2"), ("line 5", "line-5")]),
        ("d.jsonl", '\n{"a": 2} {"a": 3}\n', [("line 2", "line-2"), ("line 2", "line-2-2")]),
        ("d.jsonl", '{\n"a": 2\n}\n{"a": 3}\n', [("line 1", "line-1"), ("line 4", "line-4")]),
        ("d.json", '[\n{"a": 1},\n\n{"a": 2}]', [("item 1 (line 2)", "item-1"), ("item 2 (line 4)", "item-2")]),
        ("d.json", '{"rows": [{"a": 1}, {"a": 2}]}', [("rows 1", "item-1"), ("rows 2", "item-2")]),
        ("d.json", '{"S-1": {"a": 1}, "S-2": {"a": 2}}', [("S-1", "S-1"), ("S-2", "S-2")]),
    ],
)  # fmt: skip
def test_rows_know_their_place(tmp_path: Path, name: str, content: str, places: list[tuple[str, str]]) -> None:
    path = written(tmp_path / name, content)
    assert [(row.place, row.name) for row in opened(path)] == [(f"{path}, {place}", name) for place, name in places]


def test_the_turns_of_one_conversation_are_one_row(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "a"}]}
    assert values(written(tmp_path / "d.json", json.dumps(row))) == [row]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", b"a,b\n1,2\nd\xe9j\xe0,3\n", "line 3: byte 2 isn't UTF-8; save the file as UTF-8"),
        ("d.csv", b'a,b\n1,2\n3,"4\n5,6\n', "line 3: a quote opens in this row and is never closed"),
        ("d.csv", b'a,b\n1,"2" x\n', "line 2: a quoted field goes on after its closing quote"),
        (
            "d.csv",
            b"a,b\n1,2,3\n4\n",
            "2 lines are not valid:\n.*line 2: 3 fields where the header has 2.*\n.*line 3: 1 f",
        ),
        ("d.csv", b"a,b,a\n1,2,3\n", 'line 1: two columns are called "a"'),
        ("d.jsonl", b'{"a": 1}\n{"a": 1, "b": 2, "a": 3}', 'line 2: the key "a" is there twice'),
        ("d.jsonl", b'{"a": {"b": 1, "b": 2}}', 'line 1: the key "b" is there twice'),
        ("d.jsonl", b'{"a": 1}\n{"a": "\xe9"}', "line 2: byte 8 isn't UTF-8"),
        ("d.jsonl", b'{"a": 1}\n{"a": 2, }', r"line 2: bad JSON at column \d\d?: "),
        ("d.jsonl", b'{"a": 1\n{"a": 2}', "1 line is not valid:\n.*line 1: bad JSON at line 2, column 1"),
        (
            "d.jsonl",
            b'{"a": 1}\n{"a": "never ends\n{"a": 2}',
            "1 line is not valid:\n.*line 2: bad JSON at column 7: Unt",
        ),
        ("d.jsonl", b'{"a": 1}\n"a"', "line 2: a JSON object is needed, not a string"),
        ("d.jsonl", b"[" * 100_000, "nested too deeply"),
        ("d.jsonl", b'{"a": ' + b"1" * 5000 + b"}", "bad JSON at column 1"),
        ("d.json", b'[{"a": 1},\n{"a": 2}\n{"a": 3}]', "line 3: bad JSON at column 1: Expecting ',' or ']'"),
        ("d.json", b'[{"a": 1},\n 7]', r"item 2 \(line 2\): a JSON object is needed, not a number"),
        ("d.json", b'[{"a": 1},', "line 1: bad JSON at column 11"),
        ("d.json", b'{\n"a":\n"\xff"}', "line 3: byte 2 isn't UTF-8"),
        ("d.parquet", b"PAR1 or not", "can't be read as Parquet"),
        ("d.doc", b"Dear diary", "must end in one of .csv"),
    ],
)
def test_what_is_not_valid_is_told_with_its_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"(?s){message}"):
        values(written(tmp_path / name, content))


def test_good_rows_around_a_broken_one_are_read_on(tmp_path: Path) -> None:
    rows = opened(written(tmp_path / "d.jsonl", '{"a": 1}\n{"b": 1\n{"a": 2}\n{"a" 3}\n{"a": 4}\n'))
    assert [row.values["a"] for row in rows] == [1, 2, 4]
    assert rows.tally.count == 2


def test_blank_lines_are_counted(tmp_path: Path) -> None:
    rows = opened(written(tmp_path / "d.jsonl", '\n{"a": 1}\n  \n{"a": 2}\n'))
    assert len(list(rows)) == 2 and dict(rows.tally.dropped) == {"blank line": 2}


@pytest.mark.parametrize("name", ["d.csv", "d.json", "d.jsonl"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str) -> None:
    assert values(written(tmp_path / name, b"")) == values(written(tmp_path / name, b"\xef\xbb\xbf\n")) == []


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    for name, head, line in (("d.jsonl", "", '{"a": "x"}\n'), ("d.csv", "a\n", "x\n")):
        path = written(tmp_path / name, (head + line * 1000).encode() + b"\xff")
        assert isinstance(next(iter(opened(path))), Row)


def test_what_does_not_exist_names_its_neighbours(tmp_path: Path) -> None:
    written(tmp_path / "lines.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"dataset.path=.*line.csv doesn't exist. Did you mean lines.csv"):
        opened(tmp_path / "line.csv")
    with pytest.raises(DataError, match="is a folder, and not one that datasets"):
        opened(tmp_path)


def test_an_id_of_the_hub_without_a_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        DataError, match="nobody/nothing is no file or folder here, and can't be loaded as a data set"
    ) as e:
        list(open_rows("nobody/nothing", "dataset.path"))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.json", "d.jsonl", "d.parquet"])
def test_spoiled_files_are_read_or_told_and_never_crash(tmp_path: Path, name: str) -> None:
    from datasets import Dataset

    whole = {"d.csv": as_csv(), "d.tsv": as_csv("\t"), "d.json": json.dumps(TABLE), "d.jsonl": as_lines()}.get(name)
    Dataset.from_list(TABLE).to_parquet(tmp_path / "d.parquet")
    content = whole.encode() if whole else (tmp_path / name).read_bytes()
    chance = random.Random(0)
    pieces = [b'"', b"{", b"]", b",", b"\n", b"\r", b"\xff", b"\0", b"null", b"\\ud83d", b"\t", b"1e999", b""]
    for _ in range(150):
        at, length = chance.randrange(len(content)), chance.choice([0, 1, 20])
        path = written(tmp_path / name, content[:at] + chance.choice(pieces) + content[at + length :])
        try:
            values(path)
        except DataError as error:
            assert str(path) in str(error)
