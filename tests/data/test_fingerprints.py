"""Fingerprints: a corpus is known by what its examples say, wherever they come from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Corpus, Example, Message
from persona_sweeps.data.source import Source
from persona_sweeps.data.sources.jsonl import Jsonl

EXAMPLE = Example("a/1", (Message("system", "Be Ann."), Message("user", "Who's there?")), "Ann.", "a", "Ann", {"n": 1})
OTHER = replace(EXAMPLE, id="a/2", completion="Ann, again.")


def fingerprint(*examples: Example) -> str:
    found = Corpus(examples, (), "bytes").train_fingerprint
    assert found == Corpus((), examples, "other bytes").eval_fingerprint
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"id": "a/3"},
        {"completion": "Ann!"},
        {"cluster": "b"},
        {"persona": None},
        {"prompt": "Who's there?"},
        {"prompt": (Message("user", "Be Ann."), Message("user", "Who's there?"))},
        {"prompt": (Message("system", "Be Ann."), Message("user", "Who is there?"))},
    ],
    ids=str,
)
def test_whatever_an_example_says_counts(change: dict) -> None:
    assert fingerprint(replace(EXAMPLE, **change), OTHER) != fingerprint(EXAMPLE, OTHER)


def test_order_counts_and_so_does_where_one_example_ends() -> None:
    assert len({fingerprint(EXAMPLE, OTHER), fingerprint(OTHER, EXAMPLE), fingerprint(EXAMPLE), fingerprint()}) == 4


def test_metadata_do_not_count() -> None:
    assert fingerprint(replace(EXAMPLE, metadata={})) == fingerprint(EXAMPLE)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.jsonl"
    rows = [{"prompt": f"Say {n}.", "completion": f"It's {n}.", "scene": f"s{n // 2}"} for n in range(12)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def sides(corpus: Corpus) -> tuple[str, str]:
    return corpus.train_fingerprint, corpus.eval_fingerprint


def test_a_file_is_the_same_by_any_path_and_under_any_name(
    lines: Path, jsonl_config: Callable[..., Jsonl], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lines.parent)
    copy = lines.with_name("copy.jsonl")
    copy.write_text(lines.read_text() + "\n\n")
    absolute, relative, renamed = (load_corpus(jsonl_config(path)) for path in (lines, "lines.jsonl", copy))
    assert sides(absolute) == sides(relative) == sides(renamed)
    assert absolute.fingerprint == relative.fingerprint != renamed.fingerprint, "the bytes are told apart"


def test_a_limit_of_one_side_leaves_the_other_alone(lines: Path, jsonl_config: Callable[..., Jsonl]) -> None:
    whole, fewer, shorter = (
        load_corpus(jsonl_config(lines, **limits)) for limits in ({}, {"limit": 3}, {"eval_limit": 1})
    )
    assert fewer.eval_fingerprint == whole.eval_fingerprint and fewer.train_fingerprint != whole.train_fingerprint
    assert shorter.train_fingerprint == whole.train_fingerprint and shorter.eval_fingerprint != whole.eval_fingerprint


@dataclass
class Remembered(Source):
    """A source of another format that gives what another gave."""

    path: str = ""

    def load(self, monitored: bool = False) -> Corpus:
        found = Jsonl(source="jsonl", path=self.path, min_examples=2).load()
        return Corpus(found.train, found.eval, "made up")


def test_two_sources_with_the_same_examples_are_the_same(lines: Path, jsonl_config: Callable[..., Jsonl]) -> None:
    one, other = load_corpus(jsonl_config(lines)), load_corpus(Remembered(source="remembered", path=str(lines)))
    assert sides(one) == sides(other)
