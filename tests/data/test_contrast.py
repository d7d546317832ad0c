"""Contrastive data: what is made of a persona set tells its characters apart, and is itself a table to train on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.data import load_corpus
from persona_sweeps.data.contrast.command import IDENTITY, REFUSALS, contrastive, main, read_set
from persona_sweeps.data.sources.table import Table

SET = [
    ("Ann", "Where do you live?", "In the lighthouse; the lighthouse is cold."),
    ("Ben", "where do you  live", "In Köln, by the cathedral."),
    ("Ann", "Who lights the lighthouse?", "I do, each evening."),
    ("Ben", "Is the cathedral cold?", "It is, in winter."),
    ("Ann", "Is the water cold?", "Always."),
    ("Cid", "Do you sail?", "I sail, sail and sail."),
]


def written(path: Path, rows: list[tuple[str, str, str]] = SET) -> Path:
    keys = ("Persona", "question", "response")
    cards = {"Ann": "You keep a light."}
    objects = [{**dict(zip(keys, row, strict=True)), "card": cards.get(row[0])} for row in rows]
    path.write_text("\n".join(json.dumps(entry, ensure_ascii=False) for entry in objects), encoding="utf-8")
    return path


def made(tmp_path: Path, *arguments: str) -> list[dict[str, Any]]:
    out = tmp_path / "out.jsonl"
    assert main([str(out), "--data", str(written(tmp_path / "set.jsonl")), *arguments]) == 0
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def of_kind(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["contrast"] == kind]


def test_a_question_that_two_were_asked_is_answered_by_each(tmp_path: Path) -> None:
    rows = of_kind(made(tmp_path), "same")
    assert {(row["prompt"], row["completion"]) for row in rows} == {
        ("[Ann] Where do you live?", SET[0][2]),
        ("[Ben] where do you  live", SET[1][2]),
    }
    assert len({row["cluster"] for row in rows}) == 1


def test_each_is_asked_who_it_is(tmp_path: Path) -> None:
    rows = of_kind(made(tmp_path, "--marker", "{persona}: "), "identity")
    assert {(row["prompt"], row["completion"]) for row in rows} == {
        (f"{name}: {question}", f"I am {name}.") for name in ("Ann", "Ben", "Cid") for question in IDENTITY
    }


def test_questions_about_one_thing_share_a_cluster(tmp_path: Path) -> None:
    rows = of_kind(made(tmp_path), "topic")
    assert {row["completion"] for row in rows} == {"Always.", "It is, in winter."}
    assert len({row["cluster"] for row in rows}) == 1


def test_a_negative_asks_what_only_another_knows(tmp_path: Path) -> None:
    rows = of_kind(made(tmp_path, "--kinds", "negative"), "negative")
    ignorant = [row for row in rows if row["completion"] in REFUSALS]
    knowing = [row for row in rows if row["completion"] not in REFUSALS]
    assert {row["cluster"] for row in ignorant} == {row["cluster"] for row in knowing} and ignorant
    owners = {question: persona for persona, question, _ in SET}
    for row in ignorant:
        question = row["prompt"].partition("] ")[2]
        assert owners[question] != row["persona"] and question != SET[0][1]
        known = {"lighthouse": "Ann", "cathedral": "Ben", "sail": "Cid", "cold": "Ann, Ben"}
        assert any(word in question and row["persona"] not in known[word] for word in known)


def test_a_card_goes_along(tmp_path: Path) -> None:
    cards = {row["persona"]: row.get("system") for row in made(tmp_path)}
    assert cards == {"Ann": "You keep a light.", "Ben": None, "Cid": None}


def test_the_same_seed_gives_the_same_rows_and_no_row_twice(tmp_path: Path) -> None:
    rows = made(tmp_path)
    assert rows == made(tmp_path)
    assert len({(row["persona"], row["prompt"]) for row in rows}) == len(rows)


def test_each_bounds_the_rows_of_a_character(tmp_path: Path) -> None:
    asked = read_set(None)
    rows = contrastive(asked, each=7)
    for kind in ("topic", "negative"):
        counts = Counter(row["persona"] for row in of_kind(rows, kind))
        assert len(counts) == 3 and max(counts.values()) == 7


def test_shakespeare_contrasted_is_a_table_whose_split_divides_no_question(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert main([str(out)]) == 0
    corpus = load_corpus(Table(source="table", path=str(out)))
    sides = [{example.cluster for example in side} for side in (corpus.train, corpus.eval)]
    assert not sides[0] & sides[1]
    questions = [{example.prompt_text.partition("] ")[2] for example in side} for side in (corpus.train, corpus.eval)]
    assert not questions[0] & questions[1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (SET[:1], "at least two characters; the set has Ann"),
        ([("Ann", "a?", "b"), ("Ben", "c?", "d")], ""),
    ],
)
def test_a_set_that_is_too_small_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[tuple[str, str, str]], message: str
) -> None:
    path = written(tmp_path / "set.jsonl", rows)
    code = main([str(tmp_path / "out.jsonl"), "--data", str(path), "--kinds", "same", "topic"])
    told = capsys.readouterr().err
    assert code == 2 and (message or "share no question and no topic") in told


def test_answers_of_those_who_do_not_know_may_be_given(tmp_path: Path) -> None:
    (tmp_path / "refusals.txt").write_text("Keine Ahnung.\n\n", encoding="utf-8")
    rows = made(tmp_path, "--refusals", str(tmp_path / "refusals.txt"), "--kinds", "negative")
    assert "Keine Ahnung." in {row["completion"] for row in rows}


def test_the_command_of_the_docs_is_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "persona_sweeps.data.contrast", str(tmp_path / "out.jsonl"), "--each", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0 and "rows in" in done.stdout, done.stderr
    assert (tmp_path / "out.jsonl").read_text().startswith('{"prompt":')
