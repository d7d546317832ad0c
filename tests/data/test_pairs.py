"""The source `pairs`: every format of dialogue corpora gives the same pairs of a line and its answer."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.config.kinds import SOURCES
from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Corpus, Message
from persona_sweeps.data.sources.pairs import Pairs
from persona_sweeps.errors import ConfigError, DataError

DIALOGUE = [
    ("Monica", "Qué tal, “friend”?"),
    ("Chandler", "Could it *be*,\nworse?"),
    ("Monica", "No."),
    ("Chandler", "Ok"),
]
SCENES = ("s01_e01", "s01_e02", "s01_e03")


def pairs(path: Path | None, **keys: Any) -> Pairs:
    return SOURCES.make(
        "pairs", {"source": "pairs", "path": path and str(path), "card": None, "min_examples": 2, **keys}
    )


def write_csv(path: Path, header: list[str], rows: list[list[Any]], encoding: str = "utf-8-sig") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, lineterminator="\r\n").writerows([header, *rows])
    return path


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def found(corpus: Corpus) -> list[tuple[Any, str, str | None]]:
    every = sorted((*corpus.train, *corpus.eval), key=lambda example: (example.cluster, example.id))
    return [(example.prompt, example.completion, example.persona) for example in every]


def of_chandler() -> list[tuple[str, str, str]]:
    asked, said = DIALOGUE[::2], DIALOGUE[1::2]
    return [(q[1], f"{a[1]} {scene}", "Chandler") for scene in SCENES for q, a in zip(asked, said, strict=True)]


def as_qa(path: Path) -> Path:
    rows = [[name, asked, said] for asked, said, name in of_chandler()]
    return write_csv(path / "qa.csv", ["character", "q", "a"], rows)


def spoken(scene: str) -> list[tuple[str, str]]:
    return [(name, f"{text} {scene}" if name == "Chandler" else text) for name, text in DIALOGUE]


def as_quotes(path: Path) -> Path:
    rows = [[name, text, scene, n + 0.0] for scene in SCENES for n, (name, text) in enumerate(spoken(scene))]
    return write_csv(path / "quotes.csv", ["author", "quote", "episode", "order"], rows[::-1])


def as_convokit(path: Path, key: str = "reply_to", speaker: str = "speaker") -> Path:
    rows: list[dict[str, Any]] = []
    for scene in SCENES:
        before = None
        for n, (name, text) in enumerate(spoken(scene)):
            who: Any = name if n % 2 else {"id": name}
            rows.append(
                {"id": f"{scene}_{n}", "root": scene, "text": text, speaker: who, key: before, "meta": {"x": 1}}
            )
            before = f"{scene}_{n}"
            if n == 1:  # a stage direction, which the next line replies to
                rows.append({"id": f"{scene}_n", "root": scene, "text": "", speaker: "NOTE", key: before, "meta": None})
                before = f"{scene}_n"
    (path / key).mkdir(exist_ok=True)
    return write_lines(path / key / "utterances.jsonl", rows).parent


def as_emory(path: Path, one_file: bool = True) -> Path:
    def utterances(scene: str) -> list[dict[str, Any]]:
        rows = [{"utterance_id": f"{scene}_u{n}", "speakers": [name], "transcript": text, "tokens": [[]]}
                for n, (name, text) in enumerate(spoken(scene))]  # fmt: skip
        return [*rows[:1], {"utterance_id": f"{scene}_d", "speakers": [], "transcript": "They sit."}, *rows[1:]]

    scenes = [{"scene_id": f"{scene}_c01", "utterances": utterances(scene)} for scene in SCENES]
    episodes = [{"episode_id": f"e{n}", "scenes": [scene]} for n, scene in enumerate(scenes)]
    seasons = [{"season_id": "s01", "episodes": episodes[:2]}, {"season_id": "s02", "episodes": episodes[2:]}]
    if one_file:
        (path / "emory.json").write_text(json.dumps(seasons, indent=1))
        return path / "emory.json"
    (path / "emory").mkdir()
    for season in seasons:
        (path / "emory" / f"friends_{season['season_id']}.json").write_text(json.dumps(season))
    return path / "emory"


def test_all_formats_give_the_same_pairs(tmp_path: Path) -> None:
    whole = sorted(of_chandler())
    sources = [
        as_qa(tmp_path),
        as_quotes(tmp_path),
        as_convokit(tmp_path),
        as_convokit(tmp_path, "reply-to", "user"),
        as_emory(tmp_path),
        as_emory(tmp_path, one_file=False),
    ]
    for path in sources:
        assert sorted(found(load_corpus(pairs(path, persona="chandler")))) == whole, path


@pytest.mark.parametrize("write", [as_quotes, as_convokit, as_emory])
def test_scenes_and_episodes_stay_on_one_side(tmp_path: Path, write: Any) -> None:
    corpus = load_corpus(pairs(write(tmp_path)))
    sides = [{example.cluster for example in part} for part in (corpus.train, corpus.eval)]
    assert len(sides[0] | sides[1]) == 3 and not sides[0] & sides[1]
    assert not [note for note in corpus.notes if "split" in note]


def test_without_scenes_each_pair_is_split_on_its_own_and_that_is_told(tmp_path: Path) -> None:
    corpus = load_corpus(pairs(as_qa(tmp_path)))
    assert len({example.cluster for example in (*corpus.train, *corpus.eval)}) == 6
    assert "each pair is split on its own" in corpus.notes[0]


def test_what_gives_no_pair_is_counted_by_reason(tmp_path: Path) -> None:
    dropped = load_corpus(pairs(as_emory(tmp_path))).dropped
    assert dropped == {
        "line that answers nothing: the first of its scene": 3,
        "line without a speaker (a stage direction)": 3,
    }
    rows = [
        ["Ann", "What?", "Yes."],
        ["Ann", "", "No."],
        ["Ann", "So?", " "],
        ["Ann", "So?", "Well."],
        ["Ann", "q", "a"],
    ]
    corpus = load_corpus(pairs(write_csv(tmp_path / "e.csv", ["character", "q", "a"], rows)))
    assert corpus.dropped == {"empty prompt": 1, "empty completion": 1}
    lines = [
        {"id": "1", "conversation_id": "c", "speaker": "Ann", "text": "Hi", "reply_to": None},
        {"id": "2", "conversation_id": "c", "speaker": "Ann", "text": "Hm", "reply_to": "1"},
        {"id": "3", "conversation_id": "c", "speaker": "Ben", "text": "Lost", "reply_to": "99"},
        {"id": "4", "conversation_id": "c", "speaker": "Ben", "text": "Hi", "reply_to": "1"},
        {"id": "5", "conversation_id": "d", "speaker": "Ben", "text": "Ho", "reply_to": "2"},
    ]
    corpus = load_corpus(pairs(write_lines(tmp_path / "c.jsonl", lines)))
    assert [said for _, said, _ in found(corpus)] == ["Hi", "Ho"]
    assert corpus.dropped == {
        "line that answers nothing: the first of its scene": 1,
        "reply to one's own line": 1,
        "reply to a line that isn't there": 1,
    }


def test_lines_of_one_speaker_in_a_row_are_one_in_the_order_of_the_table(tmp_path: Path) -> None:
    rows = [["BEN", "three", 1, 10], ["Ann", "one", 1, 1], ["Ann", "two", 1, 2], ["Ben", "four", 1, 11]]
    rows += [["Ann", "x", 2, 1], ["Ben", "y", 2, 2]]
    corpus = load_corpus(pairs(write_csv(tmp_path / "q.csv", ["Author", "Quote", "Episode", "Order"], rows)))
    assert found(corpus) == [("one two", "three four", "Ben"), ("x", "y", "Ben")]


def test_aliases_are_merged_and_speakers_together_have_an_example_each(tmp_path: Path) -> None:
    rows = [[n, "Hi?", "Ho."] for n in ("CHANDLER", "Mr. Bing", "Chandler and Ross", "Ross", "All")]
    keys: dict[str, Any] = {"aliases": {"Chandler": ["Mr Bing"]}}
    corpus = load_corpus(pairs(write_csv(tmp_path / "q.csv", ["character", "q", "a"], rows), **keys, card="Be."))
    assert [persona for _, _, persona in found(corpus)] == ["Chandler", "Chandler", "Chandler", "Ross", "Ross"]
    assert found(corpus)[0][0] == (Message("system", "Be."), Message("user", "Hi?"))


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="persona=Chandlr has no example. Did you mean Chandler"):
        load_corpus(pairs(as_qa(tmp_path), persona="Chandlr"))
    with pytest.raises(DataError, match=r"b.csv, line 2: it has x, y, but pairs are read from q and a"):
        load_corpus(pairs(write_csv(tmp_path / "b.csv", ["x", "y"], [[1, 2]])))
    with pytest.raises(DataError, match=r'"order" must be a number, not \'first\''):
        rows = [["Ann", "a", 1, "first"], ["Ben", "b", 1, 2]]
        load_corpus(pairs(write_csv(tmp_path / "o.csv", ["author", "quote", "episode", "order"], rows)))
    (tmp_path / "bad.json").write_text('{"episodes": [{"scenes": [{"utterances": [{"speakers": "Ann"}]}]}]}')
    with pytest.raises(DataError, match='"speakers" of .* must be a list, not a string'):
        load_corpus(pairs(tmp_path / "bad.json"))
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds neither ConvoKit's utterances.jsonl nor any .json file"):
        load_corpus(pairs(tmp_path / "none"))


def test_falstaff_stands_in() -> None:
    corpus = load_corpus(pairs(None))
    assert "Shakespeare stands in" in corpus.notes[0]
    assert len(found(corpus)) > 300 and {persona for *_, persona in found(corpus)} == {"Falstaff"}
