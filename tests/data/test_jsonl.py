"""The source `jsonl`: good lines become examples, bad ones are told with their place and the remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Corpus, Example, Message
from persona_sweeps.data.sources.jsonl import Jsonl
from persona_sweeps.errors import ConfigError, DataError

Configs = Callable[..., Jsonl]

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Who's there?"},
    {"role": "assistant", "content": "Nay, answer me."},
    {"role": "user", "content": "Long live the king!"},
    {"role": "assistant", "content": "Bernardo?"},
]


def write(path: Path, *entries: Any) -> Path:
    lines = [entry if isinstance(entry, bytes) else json.dumps(entry).encode() for entry in entries]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def pair(number: int, **more: Any) -> dict[str, Any]:
    return {"prompt": f"question {number}", "completion": f"answer {number}", **more}


def everything(corpus: Corpus) -> dict[str, Example]:
    return {example.id: example for example in (*corpus.train, *corpus.eval)}


def test_pairs_and_messages_become_examples(tmp_path: Path, jsonl_config: Configs) -> None:
    path = write(tmp_path / "d.jsonl", pair(1, persona="Ann", id="one", scene=3, mood="sad"), {"messages": CHAT})
    found = everything(load_corpus(jsonl_config(path)))
    assert found["one"] == Example("one", "question 1", "answer 1", "3", "Ann", {"mood": "sad"})
    assert found["line-2"].completion == "Bernardo?"
    assert found["line-2"].prompt == tuple(Message(turn["role"], turn["content"]) for turn in CHAT[:-1])
    assert found["line-2"].cluster == "line-2"


def test_ids_count_lines_blank_ones_too(tmp_path: Path, jsonl_config: Configs) -> None:
    path = write(tmp_path / "d.jsonl", pair(1), b"  ", pair(3), pair(4, completion=" "), pair(5, prompt=""))
    corpus = load_corpus(jsonl_config(path))
    assert set(everything(corpus)) == {"line-1", "line-3"}
    assert dict(corpus.dropped) == {"blank line": 1, "empty completion": 1, "empty prompt": 1}


def test_windows_line_ends_and_a_byte_order_mark_are_taken(tmp_path: Path, jsonl_config: Configs) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(pair(n)).encode() for n in range(3)))
    assert len(everything(load_corpus(jsonl_config(path)))) == 3


def test_dialogues_are_kept_whole(tmp_path: Path, jsonl_config: Configs) -> None:
    path = write(tmp_path / "d.jsonl", *(pair(n, dialogue=f"d{n // 4}") for n in range(40)))
    corpus = load_corpus(jsonl_config(path))
    assert not {example.cluster for example in corpus.train} & {example.cluster for example in corpus.eval}
    assert len(corpus.eval) == 8


def test_a_second_file_replaces_the_split(tmp_path: Path, jsonl_config: Configs) -> None:
    path, other = write(tmp_path / "d.jsonl", *map(pair, range(9))), write(tmp_path / "e.jsonl", pair(1), pair(2))
    corpus = load_corpus(jsonl_config(path, eval_path=str(other), limit=5))
    assert (len(corpus.train), len(corpus.eval)) == (5, 2)
    assert {example.id for example in corpus.eval} == {"eval-line-1", "eval-line-2"}
    assert corpus.fingerprint != load_corpus(jsonl_config(path)).fingerprint


def test_both_files_may_not_hold_parts_of_one_scene(tmp_path: Path, jsonl_config: Configs) -> None:
    path = write(tmp_path / "d.jsonl", pair(1, scene="s"), pair(2, scene="t"))
    other = write(tmp_path / "e.jsonl", pair(1, scene="s"))
    with pytest.raises(DataError, match=r"1 cluster in both .*\(s\)"):
        load_corpus(jsonl_config(path, eval_path=str(other)))


def test_a_persona_is_picked_in_any_case_or_the_nearest_named(tmp_path: Path, jsonl_config: Configs) -> None:
    path = write(tmp_path / "d.jsonl", *(pair(n, persona=["Ann", "Benedict"][n % 2]) for n in range(20)))
    corpus = load_corpus(jsonl_config(path, persona="ann"))
    assert {example.persona for example in everything(corpus).values()} == {"Ann"}
    with pytest.raises(ConfigError, match="Did you mean Benedict"):
        load_corpus(jsonl_config(path, persona="Benedick"))


def test_a_card_goes_where_no_system_message_is(tmp_path: Path, jsonl_config: Configs) -> None:
    path = write(tmp_path / "d.jsonl", pair(1), {"messages": CHAT[1:]}, {"messages": CHAT})
    corpus = load_corpus(jsonl_config(path, card="Be Ann."))
    assert corpus.notes[0].startswith("dataset.card isn't put before 1 of 3 examples")
    found = everything(corpus)
    system = [found[f"line-{number}"].prompt[0] for number in (1, 2, 3)]
    assert system == [Message("system", "Be Ann."), Message("system", "Be Ann."), Message("system", "Be brief.")]
    assert found["line-1"].prompt[1] == Message("user", "question 1")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"prompt": "a", }', "bad JSON at column 1[567]"),
        (b"[1]", "object is needed, not a list"),
        (b'{"prompt": "\xff"}', "byte 13 isn't UTF-8"),
        ({"promt": "a", "completion": "b"}, '"prompt" is missing. Is "promt" meant'),
        ({"question": "a", "completion": "b"}, '"prompt" is missing. It has "question", "completion"'),
        ({"prompt": 3, "completion": "b"}, '"prompt" must be a string, not a number'),
        ({"prompt": "a", "completion": None}, '"completion" must be a string, not null'),
        ({"prompt": "a", "completion": "\ud83d"}, "lone surrogate"),
        ({"prompt": "a", "completion": "b", "scene": [1]}, '"scene" must be a string or a whole number'),
        ({"messages": []}, "not an empty list"),
        ({"messages": CHAT, "prompt": "a"}, "exclude each other"),
        ({"messages": CHAT[:-1]}, 'last message is by "user"'),
        ({"messages": CHAT[1:2] * 2}, 'message 2 is by "user" where "assistant" is due'),
        ({"messages": CHAT[2:]}, 'message 1 is by "assistant" where "user" is due'),
        ({"messages": CHAT[:1]}, 'last message is by "system"'),
        ({"messages": ["hi"]}, "message 1 must be an object"),
        ({"messages": [{"role": "usr", "content": "a"}]}, "Did you mean user"),
        ({"messages": [{"role": "user", "contents": "a"}]}, 'message 1: "content" is missing. Is "contents" meant'),
    ],
)
def test_a_bad_line_is_told_with_its_place(tmp_path: Path, jsonl_config: Configs, line: Any, message: str) -> None:
    path = write(tmp_path / "d.jsonl", pair(1), line)
    with pytest.raises(DataError, match=rf"1 line is not valid:\n.*d\.jsonl, line 2: .*({message})"):
        load_corpus(jsonl_config(path))


def test_of_many_bad_lines_five_are_shown_and_all_counted(tmp_path: Path, jsonl_config: Configs) -> None:
    path = write(tmp_path / "d.jsonl", *[b"{"] * 8)
    with pytest.raises(DataError) as error:
        load_corpus(jsonl_config(path))
    assert str(error.value).startswith("8 lines are not valid:") and str(error.value).endswith("and 3 more.")
    assert str(error.value).count("bad JSON") == 5


def test_an_id_may_stand_once_only(tmp_path: Path, jsonl_config: Configs) -> None:
    path = write(tmp_path / "d.jsonl", pair(1, id="x"), pair(2, id="x"), pair(3))
    with pytest.raises(DataError, match="1 ids are on more than one line.*x"):
        load_corpus(jsonl_config(path))


def test_a_missing_file_names_its_nearest_neighbours(tmp_path: Path, jsonl_config: Configs) -> None:
    write(tmp_path / "hamlet.jsonl", pair(1))
    with pytest.raises(DataError, match="Did you mean hamlet.jsonl"):
        load_corpus(jsonl_config(tmp_path / "hamlett.jsonl"))
    with pytest.raises(DataError, match="doesn't exist either"):
        load_corpus(jsonl_config(tmp_path / "nowhere" / "hamlet.jsonl"))
    with pytest.raises(DataError, match="is a folder"):
        load_corpus(jsonl_config(tmp_path))


@pytest.mark.parametrize("lines", [[], [pair(1)]])
def test_too_few_examples_are_counted(tmp_path: Path, jsonl_config: Configs, lines: list[Any]) -> None:
    with pytest.raises(DataError, match=f"Only {len(lines)} example.* found, but 2 are needed"):
        load_corpus(jsonl_config(write(tmp_path / "d.jsonl", *lines)))
