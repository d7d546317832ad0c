"""The source `conversations`: every format gives the same turns, and each turn is an example behind those before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.config.kinds import SOURCES
from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Corpus, Example, Message
from persona_sweeps.data.rows.turns import NO_TURN, OPENING, UNANSWERED
from persona_sweeps.errors import ConfigError, DataError

SAID = [
    ("system", "Be Bernardo."),
    ("user", "Who's there?"),
    ("assistant", "Nay, answer me."),
    ("user", "Long live"),
    ("user", "the king!"),
    ("assistant", "Bernardo? 你好"),
]


def corpus_of(path: Path, **keys: Any) -> Corpus:
    keys = {"source": "conversations", "path": str(path), "card": None, "min_examples": 1, "eval_fraction": 0.4, **keys}
    return load_corpus(SOURCES.make("conversations", keys))


def written(path: Path, *rows: Mapping[str, Any]) -> Path:
    """Two copies of each row, since a split needs two dialogues."""
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in (*rows, *rows)), encoding="utf-8")
    return path


def first_dialogue(corpus: Corpus) -> dict[str, Example]:
    examples = (*corpus.train, *corpus.eval)
    return {e.id.rpartition("/")[2]: e for e in examples if e.id.startswith("line-1/")}


def openai(said: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in said]}


def sharegpt(said: Any) -> dict[str, Any]:
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[role], "value": text} for role, text in said]}


@pytest.mark.parametrize(
    "row",
    [
        openai(SAID),
        sharegpt(SAID),
        {"messages": json.dumps(openai(SAID)["messages"])},
        {"messages": [openai(SAID)["messages"]]},
        {"messages": [list(turn) for turn in SAID]},
        {"messages": [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in SAID]},
        {"system": SAID[0][1], **sharegpt(SAID[1:])},
    ],
)
def test_each_turn_is_an_example_whatever_the_format(tmp_path: Path, row: Mapping[str, Any]) -> None:
    found = first_dialogue(corpus_of(written(tmp_path / "d.jsonl", row)))
    first, second = sorted(found.values(), key=lambda example: example.id)
    system, question = Message("system", "Be Bernardo."), Message("user", "Who's there?")
    assert (first.prompt, first.completion) == ((system, question), "Nay, answer me.")
    later = (Message("assistant", "Nay, answer me."), Message("user", "Long live\nthe king!"))
    assert (second.prompt, second.completion) == ((system, question, *later), "Bernardo? 你好")
    assert first.dialogue == second.dialogue == first.cluster == "line-1"


def test_the_last_turn_alone_is_what_jsonl_reads(tmp_path: Path) -> None:
    path = written(tmp_path / "d.jsonl", openai([*SAID[:4], SAID[5]]))
    jsonl = load_corpus(SOURCES.make("jsonl", {"source": "jsonl", "path": str(path), "min_examples": 1}))
    last = corpus_of(path, turns="last")
    assert {(e.prompt, e.completion) for e in jsonl.train} == {(e.prompt, e.completion) for e in last.train}
    assert set(first_dialogue(last)) == {"turn-5"} and set(first_dialogue(corpus_of(path))) == {"turn-3", "turn-5"}


def test_pairs_are_conversations_too(tmp_path: Path) -> None:
    message = {"role": "user", "content": "Who's there?"}
    rows = [{"prompt": "Who's there?", "completion": "I"}, {"prompt": [message], "completion": "I"}]
    corpus = corpus_of(written(tmp_path / "d.jsonl", *rows))
    assert {(e.prompt_text, e.completion) for e in (*corpus.train, *corpus.eval)} == {("Who's there?", "I")}


NAMED = [("Ann", "Hello."), ("Ben", "Hi!"), ("Cid", "Ho."), ("Ann", "Well?"), ("Ben", "So."), ("Ben", "It is.")]


def named(said: Any, key: str = "speaker") -> dict[str, Any]:
    return {"turns": [{key: name, "text": text} for name, text in said]}


def test_several_speakers_are_written_by_name_and_the_characters_own_turns_are_the_assistants(tmp_path: Path) -> None:
    found = first_dialogue(corpus_of(written(tmp_path / "d.jsonl", named(NAMED)), persona="ben"))
    assert found["turn-2"].prompt == (Message("user", "Ann: Hello."),)
    assert found["turn-5"].prompt == (
        Message("user", "Ann: Hello."),
        Message("assistant", "Hi!"),
        Message("user", "Cid: Ho.\nAnn: Well?"),
    )
    assert found["turn-5"].completion == "So.\nIt is."
    assert {example.persona for example in found.values()} == {"Ben"}


def test_one_other_speaker_needs_no_name(tmp_path: Path) -> None:
    found = first_dialogue(corpus_of(written(tmp_path / "d.jsonl", named(NAMED[:2] + NAMED[3:])), persona="Ben"))
    assert found["turn-2"].prompt == (Message("user", "Hello."),)


def test_without_roles_and_a_persona_a_dialogue_is_learned_from_every_side(tmp_path: Path) -> None:
    path = written(tmp_path / "d.jsonl", named(NAMED))
    every = first_dialogue(corpus_of(path))
    assert {example.persona for example in every.values()} == {"Ann", "Ben", "Cid"} and len(every) == 5
    assert len({example.dialogue for example in every.values()}) == 3
    for name in ("Ann", "Ben", "Cid"):
        chosen = first_dialogue(corpus_of(path, persona=name))
        assert {(e.id, e.prompt, e.completion) for e in chosen.values()} == {
            (e.id, e.prompt, e.completion) for e in every.values() if e.persona == name
        }


def test_a_name_may_stand_in_the_place_of_the_role(tmp_path: Path) -> None:
    said = [("human", "Hello."), ("Aida", "Hi!"), ("human", "Well?"), ("Aida", "So.")]
    row = {"conversations": [{"from": name, "value": text} for name, text in said]}
    found = first_dialogue(corpus_of(written(tmp_path / "d.jsonl", row)))
    assert [(e.persona, e.completion) for e in found.values()] == [("Aida", "Hi!"), ("Aida", "So.")]
    assert found["turn-2"].prompt == (Message("user", "Hello."),)


def test_who_speaks_first_answers_an_opening(tmp_path: Path) -> None:
    found = first_dialogue(corpus_of(written(tmp_path / "d.jsonl", named(NAMED)), persona="Ann"))
    assert found["turn-1"].prompt == (Message("user", OPENING),)
    assert found["turn-4"].prompt[:2] == (Message("user", OPENING), Message("assistant", "Hello."))


def test_every_prompt_alternates_and_ends_with_the_user(tmp_path: Path) -> None:
    said = [("assistant", "a"), ("assistant", "b"), ("system", "S"), ("user", "c"), ("user", "d"), ("system", "T")]
    corpus = corpus_of(written(tmp_path / "d.jsonl", openai([*said, ("assistant", "e")]), openai(SAID), named(NAMED)))
    for example in (*corpus.train, *corpus.eval):
        roles = [message.role for message in example.prompt if isinstance(message, Message)]
        turns = roles[1:] if roles[0] == "system" else roles
        assert turns == (["user", "assistant"] * len(turns))[: len(turns)] and turns[-1] == "user"
    last = next(e for e in (*corpus.train, *corpus.eval) if e.completion == "e")
    assert last.prompt[-1] == Message("user", "[S]\nc\nd\n[T]")


def test_turns_share_the_prompt_before_them(tmp_path: Path) -> None:
    corpus = corpus_of(written(tmp_path / "d.jsonl", openai(SAID), named(NAMED)), persona=None)
    by_dialogue: dict[str | None, list[Example]] = {}
    for example in (*corpus.train, *corpus.eval):
        by_dialogue.setdefault(example.dialogue, []).append(example)
    for examples in by_dialogue.values():
        for one, next_one in zip(examples, examples[1:], strict=False):
            assert next_one.prompt[: len(one.prompt) + 1] == (*one.prompt, Message("assistant", one.completion))


def test_what_gives_no_example_is_counted(tmp_path: Path) -> None:
    rows = [openai(SAID), openai(SAID[:2]), openai([*SAID, ("user", "Bye.")]), openai([("user", ""), *SAID])]
    dropped = corpus_of(written(tmp_path / "d.jsonl", *rows)).dropped
    assert dict(dropped) == {NO_TURN: 2, UNANSWERED: 2, "empty message": 2}


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ({"role": "asistant", "content": "a"}, 'role "asistant" is none of .*Did you mean assistant'),
        ({"from": "humann", "value": "a"}, 'from "humann" is none of .*Did you mean human'),
        ({"from": "function_call", "value": "a"}, 'from "function_call" is none of'),
        ({"role": "tool", "content": "a"}, 'role "tool" is none of'),
        ({"role": "user", "contents": "a"}, '"content" is missing. Is "contents" meant'),
        ({"rôle": "user", "content": "a"}, '"role" is missing'),
        ({"role": "user", "content": 3}, '"content" must be a string, not a number'),
        ({"role": "user", "content": [{"type": "image_url"}]}, r"has a part that is no text \(image_url\)"),
        ("Hello", "must be an object with role and content, not a string"),
        ({"role": "user", "content": "\ud83d"}, "lone surrogate"),
    ],
)
def test_a_bad_message_is_told_with_its_place(tmp_path: Path, message: Any, sentence: str) -> None:
    rows = [openai(SAID), {"messages": [{"role": "user", "content": "a"}, message]}]
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=f"(?s)1 line is not valid.*line 2: message 2: .*{sentence}"):
        corpus_of(path)


@pytest.mark.parametrize("value", [[], "no list", 3, None, {"role": "user"}])
def test_what_is_no_conversation_is_told(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DataError, match='"messages" must be a list of messages'):
        corpus_of(written(tmp_path / "d.jsonl", {"messages": value}))


def test_an_unknown_character_gets_the_nearest_name(tmp_path: Path) -> None:
    path = written(tmp_path / "d.jsonl", named([(name.replace("Ben", "Benedick"), text) for name, text in NAMED]))
    with pytest.raises(ConfigError, match="dataset.persona=Benedict has no example. Did you mean Benedick"):
        corpus_of(path, persona="Benedict")
