"""The source `script`: speeches of a character and whole episodes, from tables, files and folders."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.config.kinds import SOURCES
from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Corpus, Example, Message
from persona_sweeps.data.plays.library import display_name, open_play, play_paths
from persona_sweeps.data.sources.script import ScriptSource
from persona_sweeps.data.stand_ins.scripts import PLAYS, stand_in
from persona_sweeps.errors import ConfigError, DataError

SCENE = """[Scene: Place {n}, Ann and Ben are waiting.]
(It rains.)
Ann: Hi {n}. (waves)
BEN: Hello {n}.
Mr. Bing: Could it be {n}? ANN: Yes.
Ann and Ben: Both {n}.
All: Hey.
Ann: (nods)
"""


def script(path: Path | None, **keys: Any) -> ScriptSource:
    return SOURCES.make("script", {"source": "script", "path": path and str(path), "min_examples": 2, **keys})


def write_table(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [[n, "" if n == 3 else SCENE.format(n=n) * 2] for n in range(8)]
    return write_table(tmp_path / "friends.csv", ["", "script"], rows)


def everything(corpus: Corpus) -> dict[str, Example]:
    return {example.id: example for example in (*corpus.train, *corpus.eval)}


def test_each_speech_answers_what_was_said_before(table: Path) -> None:
    corpus = load_corpus(script(table, persona="ann", context_lines=2, card="short", work="Friends"))
    found = everything(corpus)
    assert len(found) == 7 * 2 * 3
    example = found["script-0/scene-1/speech-4"]
    assert example.prompt == (
        Message("system", "You are Ann, a character in Friends. Answer with Ann's next speech."),
        Message("user", "[Scene: Place 0, Ann and Ben are waiting.]\nBen: Hello 0.\nMr. Bing: Could it be 0?"),
    )
    assert (example.completion, example.persona, example.cluster) == ("Yes.", "Ann", "script-0/scene-1")
    assert found["script-0/scene-1/speech-1"].prompt_text.endswith("are waiting.]\n(It rains.)")
    assert found["script-0/scene-1/speech-1"].completion == "Hi 0."
    assert found["script-0/scene-1/speech-5-Ann"].completion == "Both 0."
    assert corpus.dropped == {"empty script": 1, "speech without spoken words": 14}


def test_clusters_are_whole_scenes_and_never_divided(table: Path) -> None:
    corpus = load_corpus(script(table))
    assert not {e.cluster for e in corpus.train} & {e.cluster for e in corpus.eval}
    assert {e.persona for e in everything(corpus).values()} == {"Ann", "Ben", "Mr. Bing"}
    assert corpus.dropped["speech of a crowd (All, Both, …), which no character learns"] == 14


def test_aliases_and_groups_are_merged_by_the_config(table: Path) -> None:
    keys: dict[str, Any] = {"aliases": {"Chandler": ["Mr Bing"]}, "groups": {"All": ["Chandler", "Ben"]}}
    for name in ("Chandler", "mr. bing", "CHANDLER"):
        examples = everything(load_corpus(script(table, persona=name, **keys))).values()
        assert {e.persona for e in examples} == {"Chandler"} and len(examples) == 7 * 2 * 2
        assert any("Chandler: Could it be" in e.prompt_text for e in examples)


def test_an_episode_is_its_clean_text_with_an_ending(table: Path) -> None:
    corpus = load_corpus(script(table, unit="episodes"))
    example = everything(corpus)["script-0"]
    scene = SCENE.format(n=0).replace("BEN", "Ben").replace(" ANN: Yes.", "\nAnn: Yes.")
    assert example.prompt == "" and example.cluster == example.id
    assert example.completion == f"{scene}\n{scene}\n[End of episode]"
    assert len(everything(corpus)) == 7


def test_prompts_of_held_out_episodes_are_beginnings_of_scenes(table: Path) -> None:
    source = script(table, unit="episodes", seed_lines=1, instruction="Go on.")
    corpus = load_corpus(source)
    assert {p.cluster for p in corpus.prompts} == {e.cluster for e in corpus.eval}
    for prompt in corpus.prompts:
        whole = everything(corpus)[prompt.cluster].completion
        assert str(prompt.prompt).startswith("Go on.\n\n[Scene: Place") and str(prompt.prompt).endswith("\nBen:")
        assert str(prompt.prompt).removeprefix("Go on.\n\n") + prompt.completion in whole
        assert "[" not in prompt.completion
    halves = [{p.cluster for p in half} for half in (corpus.prompts[: len(corpus.eval)], corpus.prompts)]
    assert halves[0] == halves[1]
    assert len({p.id for p in (*corpus.prompts, *corpus.eval)}) == len(corpus.prompts) + len(corpus.eval)
    spoken_by_ann = load_corpus(script(table, unit="episodes", seed_lines=1, persona="Ann")).prompts
    assert spoken_by_ann and all(str(prompt.prompt).endswith("\nAnn:") for prompt in spoken_by_ann)
    assert {prompt.persona for prompt in spoken_by_ann} == {"Ann"} and corpus.prompts[0].persona is None
    assert not load_corpus(script(table)).prompts


def test_prompts_change_nothing_of_what_is_trained_on(table: Path) -> None:
    few, many = (load_corpus(script(table, unit="episodes", seed_lines=n, instruction=str(n))) for n in (0, 3))
    assert few.train_fingerprint == many.train_fingerprint and few.eval_fingerprint != many.eval_fingerprint


def test_tables_files_and_folders_give_the_same_speeches(tmp_path: Path) -> None:
    texts = {f"Épisode {n}": SCENE.format(n=n) for n in range(4)}
    rows = write_table(tmp_path / "a.csv", ["episode_title", " script"], [list(row) for row in texts.items()])
    folder = tmp_path / "scripts"
    for title, text in texts.items():
        (folder / "season 1").mkdir(parents=True, exist_ok=True)
        (folder / "season 1" / f"{title}.txt").write_text(text.replace("\n", "\r\n"), encoding="iso-8859-1")
    (folder / "notes.bin").write_bytes(b"\0")
    said = [
        Counter((e.prompt_text, e.completion) for e in everything(load_corpus(script(path))).values())
        for path in (rows, folder)
    ]
    assert said[0] == said[1]
    assert "season-1/épisode-0/scene-1/speech-1" in everything(load_corpus(script(folder)))
    one = script(folder / "season 1" / "Épisode 0.txt").read()
    assert len(list(one.examples)) == 6 and "not UTF-8" not in " ".join(one.notes)
    (folder / "joker.html").write_bytes("<pre>\nJOKER:\nCr\xeda.\n</pre>".encode("iso-8859-1"))
    assert "joker.html: not UTF-8" in " ".join(script(folder).read().notes)


def test_a_script_without_scenes_is_divided_into_stretches(tmp_path: Path) -> None:
    (tmp_path / "chat.txt").write_text("\n".join(f"{'BA'[n % 2]}nn: line {n}" for n in range(50)))
    corpus = load_corpus(script(tmp_path / "chat.txt", persona="Ann", card="none"))
    found = everything(corpus)
    assert len(found) == 25 and {e.cluster for e in found.values()} == {f"chat/scene-{n}" for n in (1, 2, 3)}
    assert found["chat/scene-2/speech-2"].prompt_text == "Bnn: line 20"
    assert any("each 20 speeches count as one" in note for note in corpus.notes)


def test_episodes_of_one_title_keep_apart(tmp_path: Path) -> None:
    rows = [["Pilot", SCENE.format(n=n)] for n in range(3)]
    corpus = load_corpus(script(write_table(tmp_path / "a.csv", ["title", "text"], rows), unit="episodes"))
    assert sorted(everything(corpus)) == ["pilot", "pilot--2", "pilot--3"]
    assert any("columns guessed: script = text" in note for note in corpus.notes)


def test_mistakes_are_told_with_the_nearest_name(table: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset.persona=Anm has no example. Did you mean Ann"):
        load_corpus(script(table, persona="Anm"))
    with pytest.raises(ConfigError, match="dataset.columns.script=scrip is no column of .* Did you mean script"):
        load_corpus(script(table, columns={"script": "scrip"}))
    with pytest.raises(ConfigError, match="no column is called like a script"):
        load_corpus(script(write_table(tmp_path / "b.csv", ["a", "b"], [[1, 2]])))
    with pytest.raises(DataError, match="doesn't exist. Did you mean friends.csv"):
        load_corpus(script(tmp_path / "friend.csv"))
    (tmp_path / "prose.txt").write_text("It was a dark night.\n\nNobody spoke.")
    with pytest.raises(DataError, match="no speech was found"):
        load_corpus(script(tmp_path / "prose.txt"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no script"):
        load_corpus(script(tmp_path / "empty"))
    wrong: Any = None
    found = list(script(table, unit="acts", layout="colons", aliases={"Ann": 3}, seed_lines=-1).check(wrong))
    assert [sentence.partition("=")[0] for sentence in found] == [
        "dataset.unit",
        "dataset.layout",
        "dataset.seed_lines",
        "dataset.aliases",
    ]


def test_shakespeare_stands_in_and_is_read_back_as_the_plays_have_it() -> None:
    corpus = load_corpus(script(None))
    assert "Shakespeare stands in" in corpus.notes[0] and corpus.dropped["empty script"] == 1
    assert stand_in().read_text().startswith(",script\n0,")
    read = Counter(example.persona for example in everything(corpus).values() if example.persona)
    written = Counter(
        display_name(name)
        for file in play_paths()
        if file.stem in PLAYS
        for _, scene in open_play(file).scenes()
        for speech in scene.speeches
        for name in speech.speakers
    )
    for name in ("Hamlet", "Falstaff", "Rosalind", "Macbeth", "Benedick", "Malvolio"):
        assert abs(read[name] - written[name]) <= 1
    assert sum((read - written).values()) < 10
