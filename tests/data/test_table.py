"""The source `table`: any names and formats become the same examples; what can't is reported with the remedy."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.config.kinds import SOURCES
from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Corpus, Example, Message
from persona_sweeps.data.sources.table import Table
from persona_sweeps.errors import ConfigError, DataError
from tests.data.notes import notes_on_rows


def table(path: Path | None, source: str = "table", **keys: Any) -> Table:
    return SOURCES.make(source, {"source": source, "path": path and str(path), "card": None, "min_examples": 2, **keys})


def write_csv(path: Path, rows: list[dict[str, Any]], encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def everything(corpus: Corpus) -> list[Example]:
    return sorted((*corpus.train, *corpus.eval), key=lambda example: int(example.id.rpartition("-")[2]))


def pairs(corpus: Corpus) -> list[tuple[Any, str]]:
    return [(example.prompt, example.completion) for example in everything(corpus)]


ASKED = [(f"Où est {n}?\nIci?", f'"{n}", là-bas 你好') for n in range(6)]


@pytest.mark.parametrize(
    "names",
    [
        ("prompt", "completion"),
        ("Question", "Answer"),
        ("q", "a"),
        ("instruction", "output"),
        ("input", "response"),
        ("text", "reply"),
        ("prompt", "story"),
        ("q", "text"),
    ],
)
def test_the_usual_names_are_guessed_and_told(tmp_path: Path, names: tuple[str, str]) -> None:
    rows = [dict(zip(names, pair, strict=True)) for pair in ASKED]
    for path in (write_csv(tmp_path / "d.csv", rows, "utf-8-sig"), write_lines(tmp_path / "d.jsonl", rows)):
        corpus = load_corpus(table(path))
        assert pairs(corpus) == ASKED
        told = " ".join(notes_on_rows(corpus))
        roles = zip(("prompt", "completion"), names, strict=True)
        assert all(f"{role} = {name}" in told or role == name for role, name in roles)
        assert names != ("prompt", "completion") or told == ""


def test_an_instruction_takes_its_input_along(tmp_path: Path) -> None:
    inputs = enumerate(["", "Ann", "Ben"])
    rows = [{"instruction": "Greet.", "input": name, "output": f"Hi {name}", "id": n} for n, name in inputs]
    found = everything(load_corpus(table(write_csv(tmp_path / "d.csv", rows))))
    assert [example.prompt for example in found] == ["Greet.", "Greet.\n\nAnn", "Greet.\n\nBen"]
    assert [example.id for example in found] == ["0", "1", "2"]


def test_columns_may_be_named(tmp_path: Path) -> None:
    rows = [{"who": "Ann", "said": f"line {n}", "before": f"cue {n}", "part": n // 3, "prompt": "no"} for n in range(9)]
    columns = {"prompt": "before", "completion": "said", "persona": "who", "cluster": "part"}
    found = everything(load_corpus(table(write_csv(tmp_path / "d.csv", rows), columns=columns)))
    assert (found[4].prompt, found[4].completion, found[4].persona) == ("cue 4", "line 4", "Ann")
    assert [example.cluster for example in found] == [str(n // 3) for n in range(9)]
    assert found[4].metadata == {"prompt": "no"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prompt": "qestion"}, "dataset.columns.prompt=qestion is no column of .*Did you mean question.*answer, who"),
        ({"cluster": "scene"}, "dataset.columns.cluster=scene is no column of .*There are question, answer, who"),
        ({"prompt": ["question", "inputs"]}, "dataset.columns.prompt=inputs is no column"),
    ],
)
def test_a_wrong_column_gets_those_that_there_are(tmp_path: Path, columns: Mapping[str, Any], message: str) -> None:
    path = write_csv(tmp_path / "d.csv", [{"question": "a", "answer": "b", "who": "c"}] * 4)
    with pytest.raises(ConfigError, match=message):
        load_corpus(table(path, columns=columns))


def test_a_table_that_says_nothing_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "d.csv", [{"x": "a", "y": "b"}] * 4)
    with pytest.raises(
        DataError, match=r"d.csv: no column is called like a completion .*it has x, y: name one with"
    ) as e:
        load_corpus(table(path))
    assert "\n" not in str(e.value)


def test_whole_texts_have_no_prompt_and_are_continued_from_their_first_words(tmp_path: Path) -> None:
    texts = [f"[Scene {n}]\nROSS: Hi. " + "word " * 50 for n in range(5)]
    for rows in ([{"": n, "script": text} for n, text in enumerate(texts)], [{"text": text} for text in texts]):
        corpus = load_corpus(table(write_csv(tmp_path / "d.csv", rows)))
        assert {example.completion for example in (*corpus.train, *corpus.eval)} == set(texts)
        assert all(example.prompt == "" for example in (*corpus.train, *corpus.eval))
        assert any("whole texts" in note for note in corpus.notes)
        assert [p.prompt_text + p.completion for p in corpus.prompts] == [e.completion for e in corpus.eval]
        assert all(len(prompt.prompt_text.split()) == 27 for prompt in corpus.prompts)


def test_none_leaves_a_column_out(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "d.csv", [{"q": "a", "answer": f"b{n}", "scene": 1} for n in range(4)])
    found = everything(load_corpus(table(path, columns={"cluster": "none", "prompt": "none"})))
    assert [(example.prompt, example.cluster) for example in found] == [("", f"line-{n}") for n in range(2, 6)]


def test_documentary_rows_of_all_kinds_are_read(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p1", "completion": "c1", "persona": "A"},
        {"instruction": "p2", "input": "more", "output": "c2", "persona": "A"},
        {"instruction": "p3", "response": "c3"},
        {"messages": [[{"role": "user", "content": "p4"}, {"role": "assistant", "content": "c4"}]]},
        {"messages": [["user", "p5"], ["assistant", "c5"]]},
        {"messages": [{"role": "user", "content": "p6"}, {"role": "assistant", "content": "c6"}]},
    ]
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(json.dumps(row, indent=n % 2 or None) for n, row in enumerate(rows)))
    corpus = load_corpus(table(path))
    found = {example.completion: example.prompt_text for example in (*corpus.train, *corpus.eval)}
    assert found == {"c1": "p1", "c2": "p2\n\nmore", "c3": "p3", "c4": "p4", "c5": "p5", "c6": "p6"}


def test_empty_fields_are_counted(tmp_path: Path) -> None:
    rows = [{"q": "a", "a": "b"}, {"q": "", "a": "b"}, {"q": "a", "a": " "}, {"q": "c", "a": "d"}]
    assert dict(load_corpus(table(write_csv(tmp_path / "d.csv", rows))).dropped) == {
        "empty prompt": 1,
        "empty completion": 1,
    }


def test_wrong_values_are_told_with_their_line(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "d.jsonl", [{"q": "a", "a": "b"}, {"q": {"x": 1}, "a": "b"}, {"q": "a", "b": "c"}])
    with pytest.raises(DataError, match='(?s)2 lines.*line 2: "q" must be a text, not an object.*line 3: no column is'):
        load_corpus(table(path))


def test_guessed_ids_that_repeat_are_made_unique(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "d.csv", [{"id": n // 2, "q": f"q{n}", "a": f"a{n}"} for n in range(6)])
    corpus = load_corpus(table(path))
    examples = (*corpus.train, *corpus.eval)
    assert sorted(example.id for example in examples)[0] == "line-2/0" and len({e.id for e in examples}) == 6
    assert {example.cluster for example in examples} == {"0", "1", "2"} and "aren't unique" in notes_on_rows(corpus)[-1]
    with pytest.raises(DataError, match="3 ids are on more than one line"):
        load_corpus(table(path, columns={"id": "id"}))


def test_parquet_with_nulls_and_numbers_reads_as_csv_does(tmp_path: Path) -> None:
    from datasets import Dataset

    rows: list[dict[str, Any]] = [{"q": f"q{n}", "a": f"a{n}", "scene": 1.0 + n // 4, "x": 3} for n in range(8)]
    rows[2]["a"] = rows[3]["scene"] = None
    Dataset.from_list(rows).to_parquet(tmp_path / "d.parquet")
    corpus = load_corpus(table(tmp_path / "d.parquet"))
    assert dict(corpus.dropped) == {"empty completion": 1}
    assert {example.cluster for example in (*corpus.train, *corpus.eval)} == {"1", "2", "row-4"}


def test_a_split_that_the_data_bring_is_kept(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    parts = {name: Dataset.from_list([{"q": f"{name} {n}", "a": "b"} for n in range(4)]) for name in ("train", "test")}
    DatasetDict(parts).save_to_disk(tmp_path / "d")
    corpus = load_corpus(table(tmp_path / "d", eval_split="test"))
    assert {example.prompt_text[:4] for example in corpus.train} == {"trai"}
    assert {example.prompt_text[:4] for example in corpus.eval} == {"test"}


def test_each_persona_has_a_card_of_its_own(tmp_path: Path) -> None:
    card = tmp_path / "ben.json"
    card.write_text(json.dumps({"name": "Ben", "description": "{{char}} likes {{user}}."}))
    rows = [{"q": f"q{n}", "a": "b", "persona": ["Ann", "Ben"][n % 2]} for n in range(6)]
    path = write_csv(tmp_path / "d.csv", rows)
    corpus = load_corpus(table(path, card={"ann": "Be Ann.", "ben": str(card)}))
    cards = {example.persona: example.prompt[0] for example in (*corpus.train, *corpus.eval)}
    assert cards == {
        "Ann": Message("system", "Be Ann."),
        "Ben": Message("system", "You are Ben.\n\nBen likes the user."),
    }
    with pytest.raises(DataError, match="dataset.card has no card for Ben"):
        load_corpus(table(path, card={"ann": "Be Ann."}))
    with pytest.raises(DataError, match=r"dataset.card=.*bn.json doesn't exist. Did you mean ben.json"):
        load_corpus(table(path, card=str(tmp_path / "bn.json")))


def test_nothing_in_data_is_taken_for_config(tmp_path: Path) -> None:
    rows = [{"q": "${oc.env:HOME} {{char}} {0}", "a": "${seed} %s", "scene": f"../../{n}"} for n in range(4)]
    corpus = load_corpus(table(write_csv(tmp_path / "d.csv", rows)))
    assert set(pairs(corpus)) == {("${oc.env:HOME} {{char}} {0}", "${seed} %s")}


@pytest.mark.parametrize("source", ["table", "conversations"])
def test_without_a_path_shakespeare_stands_in_and_says_so(source: str) -> None:
    corpus = load_corpus(table(None, source))
    assert "Shakespeare stands in" in corpus.notes[0]
    personas = {example.persona for example in (*corpus.train, *corpus.eval)}
    assert personas == ({"Hamlet", "Falstaff", "Rosalind"} if source == "table" else {"Hamlet"})
