"""Plays: no word of the text is lost, and the quirks of real files are read as a reader would."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from persona_sweeps.data.plays.library import play_paths
from persona_sweeps.data.plays.plays import Play, Speech, StageDirection, parse_play, read_play
from persona_sweeps.errors import DataError


def words(text: str) -> list[str]:
    return re.findall(r"\w+", html.unescape(text).replace("_", " "))


def all_text(play: Play) -> str:
    """Everything that a parse holds, in the order of the source."""
    pieces: list[str] = []
    for act in play.acts:
        pieces.append(act.title)
        for scene in act.scenes:
            pieces.append(scene.title)
            for item in scene.items:
                if isinstance(item, Speech):
                    pieces.append(item.speaker)
                for part in item.parts if isinstance(item, Speech) else (item,):
                    pieces.append(part.text if isinstance(part, StageDirection) else part)
    return "\n".join(pieces)


@pytest.mark.parametrize("path", play_paths(), ids=lambda path: path.stem)
def test_no_word_is_lost_moved_or_added(path: Path) -> None:
    play = read_play(path)
    source = re.sub(rf"^# {re.escape(play.title)} *$", "", path.read_text(encoding="utf-8"), flags=re.M)
    without_running_titles = re.sub(rf"^{re.escape(play.title.upper())} *$", "", source, flags=re.M)
    assert words(all_text(play)) == words(without_running_titles)


@pytest.mark.parametrize("path", play_paths(), ids=lambda path: path.stem)
def test_scenes_have_unique_names_and_speeches_have_words(path: Path) -> None:
    play = read_play(path)
    names = [(act.number, scene.number) for act, scene in play.scenes()]
    assert len(set(names)) == len(names) > 5
    speeches = [speech for _, scene in play.scenes() for speech in scene.speeches]
    assert all(speech.lines for speech in speeches)
    assert not any(mark in line for speech in speeches for line in speech.lines for mark in ("_", "*", "\\", "#"))


def only_scene(body: str) -> tuple[Speech | StageDirection, ...]:
    return parse_play(f"# P\n\n## ACT I\n\n### SCENE I. A street.\n\n{body}", "p").acts[0].scenes[0].items


def test_a_direction_inside_a_speech_stays_there_and_one_after_it_leaves_it() -> None:
    items = only_scene("**ANN**  \n_\\[Aside]_  \nOne.\n\n_Enter BEN_\n\nTwo.\n\n_Exit_\n\n**BEN**  \nThree.")
    first = Speech("ANN", (StageDirection("Aside"), "One.", StageDirection("Enter BEN"), "Two."))
    assert items == (first, StageDirection("Exit"), Speech("BEN", ("Three.",)))
    assert first.lines == ("One.", "Two.")


@pytest.mark.parametrize(
    "written",
    ["_\\[Aside]_", "__\\[Aside]_", "[Aside]_", "*[Aside]*"],
)
def test_every_way_to_write_a_direction_is_one(written: str) -> None:
    assert only_scene(f"**ANN**  \n{written}  \nOne.") == (Speech("ANN", (StageDirection("Aside"), "One.")),)


def test_a_direction_may_run_over_lines() -> None:
    assert only_scene("_Enter ANN\nand BEN_") == (StageDirection("Enter ANN and BEN"),)


def test_emphasis_within_a_line_is_spoken() -> None:
    assert only_scene("**ANN**  \nAnd _\\[Ben,]_  \nnobly named") == (Speech("ANN", ("And Ben,", "nobly named")),)


def test_a_name_may_follow_a_direction_in_one_paragraph() -> None:
    items = only_scene("_\\[To BEN]_  \n**ANN**  \nOne.")
    assert items == (StageDirection("To BEN"), Speech("ANN", ("One.",)))


@pytest.mark.parametrize(
    ("source", "speaker"),
    [
        ("BISHOP\n\n**OF WINCHESTER**  \nOne.", "BISHOP OF WINCHESTER"),
        ("Ghost\n\n**of Buckingham**  \nOne.", "Ghost of Buckingham"),
        ("Varro's\n\n**First Servant**  \nOne.", "Varro's First Servant"),
        ("**ANN: & BEN:**  \nOne.", "ANN & BEN"),
        ("_Boy sings_\n\nOne.", ""),
    ],
)
def test_speakers_are_read_whole(source: str, speaker: str) -> None:
    speeches = [item for item in only_scene(source) if isinstance(item, Speech)]
    assert speeches == [Speech(speaker, ("One.",))]


def test_a_song_that_follows_a_speech_is_no_part_of_it() -> None:
    items = only_scene("**HOST**  \nHear them.\nSONG.  \nWho is she?")
    assert items == (Speech("HOST", ("Hear them.",)), StageDirection("SONG."), Speech("", ("Who is she?",)))


def test_headings_are_told_by_their_words_whatever_their_level() -> None:
    play = parse_play(
        "# P\n\n## PROLOGUE\n\n**A**\nx\n\nP\n\n#### ACT I\n\n## SCENE I. Here,\n\nand there.\n\n**A**\nx\n\n"
        "SCENE II: Far.\n\n**A**\nx\n\n### SCENE II\n\n**A**\nx\n\nEPILOGUE  \nBye.",
        "p",
    )
    found = [(act.number, scene.number, scene.title) for act, scene in play.scenes()]
    assert found == [
        ("prologue", "", ""),
        ("1", "1", "SCENE I. Here, and there."),
        ("1", "2", "SCENE II: Far."),
        ("1", "2-2", "SCENE II"),
        ("epilogue", "", ""),
    ]
    assert play.acts[-1].scenes[0].speeches == (Speech("", ("Bye.",)),)


def test_a_play_without_its_title_takes_it_from_the_file_name() -> None:
    assert parse_play("**A**\nx", "measure-for-measure").title == "Measure for Measure"


def test_a_file_that_is_no_play_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n\nBuy milk.")
    (tmp_path / "bytes.md").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="no speeches"):
        read_play(tmp_path / "notes.md")
    with pytest.raises(DataError, match="UTF-8"):
        read_play(tmp_path / "bytes.md")
