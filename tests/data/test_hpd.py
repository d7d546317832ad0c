"""Source hpd: dialogues with attributes, scenes, relations and responses, whatever their spelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.formats.hpd_file import read_sessions, spoken
from persona_sweeps.data.sources.hpd import MORE, OPENING, Hpd
from persona_sweeps.errors import ConfigError, DataError
from tests.data.notes import notes_on_rows

SESSION: dict[str, Any] = {
    "position": "Book1-chapter5",
    "speakers": ["Hagrid", "Harry", "Uncle Vernon"],
    "scene": ["The hut on the rock.", "A storm."],
    "dialogue": [
        "Hagrid: Look: it's yer birthday!",
        "Uncle Vernon: Stop!",
        "Harry: Who are you?",
        "Hagrid: Rubeus Hagrid.",
        "Harry: Oh: right.",
        "Harry: And what do you do?",
        "Hagrid: Keeper of Keys.",
    ],
    "attributes": {
        "Hagrid": {"name": "Hagrid", "Gender": "male", "Belongings": ["umbrella", "owls"], "Hobby": ""},
        "Harry": {"Spells": "none", "GENDER": "male", "Age": 11, "Nickname": None},
    },
    "relations with Harry": {
        "Hagrid": {
            "name": "Hagrid",
            "Friend": 1,
            "enemy": 0,
            "Harry's affection to him": 5,
            "his affection to Harry": "8",
            "Harry's familiarity with him": 0,
            "his familiarity with Harry": 6,
        },
        "Uncle Vernon": {"family": 1, "Harry's affection to him": -7},
    },
}
ASKED = SESSION | {
    "positive_response": "Harry: Keys: to what?",
    "negative_response_1": "Harry: No.",
    "Negatives": ["A.", "B: c."],
}


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def sessions(count: int, **changes: Any) -> dict[str, Any]:
    return {f"Session-{n}": SESSION | changes for n in range(1, count + 1)}


def source(path: Path | None, **changes: Any) -> Hpd:
    return Hpd(**{"source": "hpd", "path": None if path is None else str(path), "min_examples": 1, **changes})


def everything(corpus: Corpus) -> dict[str, Example]:
    return {example.id: example for example in (*corpus.train, *corpus.eval)}


@pytest.fixture
def turns(tmp_path: Path) -> dict[str, Example]:
    return everything(load_corpus(source(write(tmp_path / "d.json", sessions(3)))))


def test_each_turn_of_the_character_is_an_example_behind_the_turns_before(turns: dict[str, Example]) -> None:
    assert len(turns) == 6
    first, second = turns["Session-1/Harry/line-3"], turns["Session-1/Harry/line-5"]
    assert first.completion == "Who are you?"
    assert second.completion == "Oh: right.\nAnd what do you do?", "what is said in a row is one turn"
    assert first.prompt[-1].content == "Hagrid: Look: it's yer birthday!\nUncle Vernon: Stop!"
    assert [message.role for message in second.prompt] == ["system", "user", "assistant", "user"]
    assert second.prompt[: len(first.prompt)] == first.prompt and second.prompt[2].content == first.completion
    assert first.dialogue == second.dialogue != turns["Session-2/Harry/line-3"].dialogue
    assert first.cluster == second.cluster == "Session-1" and first.persona == "Harry"


def test_the_card_holds_attributes_relations_and_scene(turns: dict[str, Example]) -> None:
    card = turns["Session-1/Harry/line-3"].prompt[0].content
    assert card.split("\n\n") == [
        "You are Harry. Answer with Harry's next words in the dialogue, and with nothing else.",
        "About Harry: Gender: male. Age: 11. Spells: none.\nAbout Hagrid: Gender: male. Belongings: umbrella, owls.",
        "Relations with Harry, affection from -10 to 10, familiarity from 0 to 10:\n"
        "Hagrid: friend; Harry's affection for Hagrid 5; Hagrid's affection for Harry 8; "
        "Harry's familiarity with Hagrid 0; Hagrid's familiarity with Harry 6.\n"
        "Uncle Vernon: family; Harry's affection for Uncle Vernon -7.",
        "Scene: The hut on the rock. A storm.",
    ]


@pytest.mark.parametrize("part", ["attributes", "relations", "scene"])
def test_parts_of_the_card_can_be_left_out(tmp_path: Path, part: str) -> None:
    path = write(tmp_path / "d.json", sessions(2))
    one = next(iter(load_corpus(source(path, card=[part])).train))
    assert len(one.prompt[0].content.split("\n\n")) == 2
    bare = next(iter(load_corpus(source(path, card=[])).train))
    assert [message.role for message in bare.prompt] == ["user"]


def test_only_the_last_turn(tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", sessions(4))
    assert {name.split("/")[2] for name in everything(load_corpus(source(path, turns="last")))} == {"line-5"}


def test_a_positive_response_is_the_completion_and_negatives_are_kept(tmp_path: Path) -> None:
    train = write(tmp_path / "train.json", sessions(2))
    test = write(tmp_path / "test.json", {"dialogue-16": ASKED, "Session-1": ASKED})
    corpus = load_corpus(source(train, eval_path=str(test)))
    assert len(corpus.train) == 4 and {example.id for example in corpus.eval} == {
        "test/dialogue-16/Harry/response", "test/Session-1/Harry/response",
    }  # fmt: skip
    asked = corpus.eval[0]
    assert asked.completion == "Keys: to what?"
    assert asked.metadata["negatives"] == ["No.", "A.", "B: c."]
    assert asked.prompt[-1].content == "Hagrid: Keeper of Keys."
    assert [message.content for message in asked.prompt if message.role == "assistant"] == [
        "Who are you?", "Oh: right.\nAnd what do you do?",
    ]  # fmt: skip


def test_the_character_may_speak_first_and_may_answer_itself(tmp_path: Path) -> None:
    content = sessions(2, dialogue=["Harry: Hello?"], positive_response="harry: Anybody?")
    corpus = load_corpus(source(write(tmp_path / "d.json", content)))
    assert [message.content for message in corpus.train[0].prompt[1:]] == [OPENING, "Hello?", MORE]
    assert corpus.train[0].persona == "Harry"


def test_other_characters_and_several(tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", sessions(3))
    hagrid = everything(load_corpus(source(path, persona="hagrid")))
    assert {example.persona for example in hagrid.values()} == {"Hagrid"} and len(hagrid) == 9
    assert hagrid["Session-1/Hagrid/line-4"].prompt[0].content.split("\n\n")[1].startswith("About Hagrid")
    two = everything(load_corpus(source(path, persona=["Harry", "Hagrid"])))
    assert len(two) == 15 and two["Session-1/Hagrid/line-4"].dialogue != two["Session-1/Harry/line-3"].dialogue
    every = load_corpus(source(path, persona="all")).train
    assert len(everything(load_corpus(source(path, persona="all")))) == 18
    dialogues = [example.dialogue for example in every]
    assert dialogues == sorted(dialogues, key=dialogues.index), "the turns of a dialogue are neighbours"
    with pytest.raises(ConfigError, match="Hagird has no example. Did you mean Hagrid"):
        load_corpus(source(path, persona="Hagird"))


def untidy(content: dict[str, Any]) -> str:
    """Write keys in another case, commas at ends, CRLF and a BOM."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    for key in ("position", "dialogue", "attributes", "relations with", "scene"):
        text = text.replace(f'"{key}', f'"{key.upper()}')
    text = text.replace("\n  ]", ",\n  ]").replace("\n }", ",\n }")
    return "\ufeff" + text.replace("\n", "\r\n")


def test_case_trailing_commas_and_line_ends_change_nothing(tmp_path: Path) -> None:
    tidy = load_corpus(source(write(tmp_path / "tidy.json", sessions(3))))
    odd = load_corpus(source(write(tmp_path / "odd.json", untidy(sessions(3)))))
    assert everything(odd) == everything(tidy)


def test_a_list_of_sessions_is_the_same_as_an_object(tmp_path: Path) -> None:
    whole = everything(load_corpus(source(write(tmp_path / "o.json", sessions(3)))))
    pairs = [{name: session} for name, session in sessions(3).items()]
    named = [{"session": name, **session} for name, session in sessions(3).items()]
    for number, content in enumerate((pairs, named)):
        assert everything(load_corpus(source(write(tmp_path / f"{number}.json", content)))) == whole
    bare = everything(load_corpus(source(write(tmp_path / "b.json", list(sessions(3).values())))))
    assert set(bare) == {name.replace("Session", "session") for name in whole}


def test_a_comma_in_a_line_stays(tmp_path: Path) -> None:
    line = 'Hagrid: a list, ] and "{,}" and \\, } end'
    found = read_sessions(write(tmp_path / "d.json", sessions(1, dialogue=[line]))).sessions
    assert found[0].lines[0].text == line.removeprefix("Hagrid: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Harry: Well: no.", ("Harry", "Well: no.")),
        ("Mr. Weasley: Hm?", ("Mr. Weasley", "Hm?")),
        ("哈利：你好：我", ("哈利", "你好：我")),
        ("Harry:", ("Harry", "")),
        ("He thought, and then said: no.", ("", "He thought, and then said: no.")),
        ("No name here", ("", "No name here")),
        ("http://example.org", ("http", "//example.org")),
    ],
)
def test_a_name_stands_before_the_first_colon(text: str, expected: tuple[str, str]) -> None:
    assert spoken(text, (), guess=True) == expected
    assert spoken(text, ()) == ("", text)


def test_lines_without_a_name_go_on_and_empty_ones_are_counted(tmp_path: Path) -> None:
    content = sessions(
        2, dialogue=["It is night.", "Hagrid: One,\ntwo: three.", "and four.", "Harry:", "", "Harry: Five."]
    )
    corpus = load_corpus(source(write(tmp_path / "d.json", content)))
    assert corpus.train[0].prompt[-1].content == "[It is night.]\nHagrid: One,\ntwo: three.\nand four."
    assert dict(corpus.dropped) == {"line without words": 2}


def test_a_session_without_the_character_is_counted(tmp_path: Path) -> None:
    content = sessions(3) | {
        "Session-9": SESSION | {"dialogue": ["Hagrid: Alone."]},
        "Session-10": SESSION | {"dialogue": []},
    }
    corpus = load_corpus(source(write(tmp_path / "d.json", content)))
    assert dict(corpus.dropped) == {"session without a line": 1, "dialogue in which the character says nothing": 1}


def test_keys_that_stand_twice_are_both_read(tmp_path: Path) -> None:
    one = json.dumps(ASKED | {"negatives": []})[:-1] + ', "negative_response_1": "Twice."}'
    corpus = load_corpus(source(write(tmp_path / "d.json", f'{{"Session-1": {one}, "Session-1": {one}}}')))
    assert {example.cluster for example in everything(corpus).values()} == {"Session-1", "Session-1 (2)"}
    assert len(notes_on_rows(corpus)) == 1 and '"Session-1" twice' in corpus.notes[0]
    assert "Twice." in corpus.train[0].metadata["negatives"]


def test_relations_off_their_scale_are_told(tmp_path: Path) -> None:
    relations = {"Hagrid": {"Harry's affection to him": 11, "his familiarity with Harry": "very"}}
    corpus = load_corpus(source(write(tmp_path / "d.json", sessions(2, **{"relations with Harry": relations}))))
    assert "Session-1, Hagrid: Harry's affection to him = 11" in corpus.notes[0] and "1 more" in corpus.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1, column 2: bad JSON"),
        ('{"a": 1,\n "b" 2}', "line 2, column 6: bad JSON"),
        ("3", "must be a JSON object or list"),
        ('{"Session-1":\n 3}', "line 1, Session-1: a session must be a JSON object"),
        ('{\n"s": {"dialoge": []}}', 'line 2, s: "dialogue" is missing. Is "dialoge" meant'),
        ('[{"instruction": "a", "output": "b"}]', "dataset=table reads those"),
        ('{"s": {"dialogue": [{"a": 1}]}}', '"dialogue" must hold texts, not dict'),
        ('{"s": {"dialogue": ["a"], "attributes": ["x"]}}', '"attributes" must be an object with an object'),
        ('{"s": {"dialogue": ["A: \\ud83d"]}}', "half of a character"),
        (f'{{"s": {"9" * 5000}}}', "integer string conversion"),
        ("[" * 200_000 + "]" * 200_000, "nested too deeply"),
    ],
)
def test_broken_files_are_told_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_corpus(source(write(tmp_path / "d.json", text)))


def test_a_missing_file_gets_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "en_train_set.json", sessions(1))
    with pytest.raises(DataError, match=r"dataset.path=.*Did you mean en_train_set.json"):
        load_corpus(source(tmp_path / "en_train.json"))


def test_without_a_path_hamlet_stands_in(own_cache: Path) -> None:
    corpus = load_corpus(source(None))
    assert any("stand in" in note for note in corpus.notes)
    assert {example.persona for example in everything(corpus).values()} == {"Hamlet"}
    assert len(corpus.train) > 250 and len(corpus.eval) > 20
    assert not {line.completion for line in corpus.train} & {
        line.completion for line in corpus.eval if len(line.completion) > 30
    }
    assert all(example.metadata["negatives"] for example in corpus.eval)
    files = sorted((own_cache / "stand_ins").rglob("*.json"))
    before = [file.stat().st_mtime_ns for file in files]
    assert len(files) == 2 and everything(load_corpus(source(None, limit=5)))
    assert [file.stat().st_mtime_ns for file in files] == before, "made once"
    assert "affection" not in files[0].read_text(encoding="utf-8")
