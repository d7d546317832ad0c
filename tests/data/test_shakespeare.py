"""The source `shakespeare`: the right character of the right play, and prompts that show what was just said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from persona_sweeps.data import load_corpus
from persona_sweeps.data.cards.cards import partners, persona_card
from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.plays.library import choose_roles, display_name, open_play, play_paths, speech_counts
from persona_sweeps.data.sources.shakespeare import Shakespeare
from persona_sweeps.errors import ConfigError, DataError

Configs = Callable[..., Shakespeare]

TWO_SCENES = """# The Short Play

## ACT I

### SCENE I. A street.

_Enter ANN and BEN_

**ANN**
First.

**BEN**
_\\[Aside]_
Second.

**ANN**
Third,

_Weeps_

and more.

### SCENE II. A room.

**BEN**
Fourth.

**ANN & BEN**
Fifth.

**ANN**
_\\[Sings]_
"""


def by_id(corpus: Corpus) -> dict[str, Example]:
    return {example.id: example for example in (*corpus.train, *corpus.eval)}


@pytest.fixture
def short_play(tmp_path: Path) -> Path:
    path = tmp_path / "short.md"
    path.write_text(TWO_SCENES)
    return path


def small(shakespeare_config: Configs, path: Path, **changes: object) -> Corpus:
    wanted = {"path": str(path), "persona": "Ann", "min_examples": 1, "card": "none", **changes}
    return load_corpus(shakespeare_config(**wanted))


def test_the_case_of_a_name_makes_no_difference(shakespeare_config: Configs) -> None:
    corpus = load_corpus(shakespeare_config(persona="hamlet"))
    assert corpus == load_corpus(shakespeare_config(persona="HAMLET", play="HAMLET"))
    assert {example.persona for example in corpus.train} == {"Hamlet"}
    assert len(corpus.train) + len(corpus.eval) == 359


def test_examples_hold_their_place_in_the_play(shakespeare_config: Configs) -> None:
    example = by_id(load_corpus(shakespeare_config()))["hamlet/3.1/speech-19"]
    assert example.cluster == "hamlet/3.1"
    assert example.completion.startswith("To be, or not to be: that is the question:\nWhether 'tis nobler")
    system, user = example.prompt
    assert (system.role, user.role) == ("system", "user")
    assert user.content.startswith("ACT III, SCENE I. A room in the castle.\n")
    assert user.content.endswith("[Exeunt KING CLAUDIUS and POLONIUS]\n[Enter HAMLET]")


def test_the_prompt_shows_the_last_speeches_with_directions_in_brackets(
    shakespeare_config: Configs, short_play: Path
) -> None:
    examples = by_id(small(shakespeare_config, short_play, context_lines=1))
    third = examples["short/1.1/speech-3"]
    assert third.prompt[0].content == "ACT I, SCENE I. A street.\nBEN: [Aside]\nSecond."
    assert third.completion == "Third,\nand more."
    assert examples["short/1.1/speech-1"].prompt[0].content == "ACT I, SCENE I. A street.\n[Enter ANN and BEN]"
    everything = by_id(small(shakespeare_config, short_play, context_lines=9))["short/1.1/speech-3"]
    assert everything.prompt[0].content.splitlines()[1:3] == ["[Enter ANN and BEN]", "ANN: First."]
    nothing = by_id(small(shakespeare_config, short_play, context_lines=0))["short/1.1/speech-3"]
    assert nothing.prompt[0].content == "ACT I, SCENE I. A street."


def test_a_speech_by_two_belongs_to_both_and_one_without_words_is_counted(
    shakespeare_config: Configs, short_play: Path
) -> None:
    ann = small(shakespeare_config, short_play)
    assert by_id(ann)["short/1.2/speech-2-Ann"].completion == "Fifth."
    assert by_id(small(shakespeare_config, short_play, persona="ben"))["short/1.2/speech-2-Ben"].completion == "Fifth."
    assert dict(ann.dropped) == {"speech without spoken words": 1}


def test_ids_and_prompts_do_not_depend_on_limits(shakespeare_config: Configs) -> None:
    whole = by_id(load_corpus(shakespeare_config()))
    part = by_id(load_corpus(shakespeare_config(limit=5, eval_limit=2)))
    assert len(part) == 7
    assert all(whole[name] == example for name, example in part.items())


def test_a_character_of_several_plays_needs_the_play(shakespeare_config: Configs) -> None:
    with pytest.raises(ConfigError, match=r"speaks in 3 plays: henry-iv-part-2 .*merry-wives.*dataset.play=henry-iv"):
        load_corpus(shakespeare_config(persona="Falstaff"))
    corpus = load_corpus(shakespeare_config(persona="Falstaff", play="Henry IV, Part 1"))
    assert all(example.cluster.startswith("henry-iv-part-1/") for example in corpus.train)


def test_several_characters_are_one_corpus_with_a_card_each(shakespeare_config: Configs) -> None:
    pair = by_id(load_corpus(shakespeare_config(persona=["Hamlet", "Falstaff"], play="all", card="short")))
    assert {example.persona for example in pair.values()} == {"Hamlet", "Falstaff"}
    assert {name.split("/")[0] for name, e in pair.items() if e.persona == "Falstaff"} == {
        "henry-iv-part-1", "henry-iv-part-2", "the-merry-wives-of-windsor",
    }  # fmt: skip
    for example in pair.values():
        assert example.prompt[0].role == "system" and f"You are {example.persona}, " in example.prompt[0].content
    hamlet = by_id(load_corpus(shakespeare_config(card="short")))
    assert hamlet == {name: example for name, example in pair.items() if example.persona == "Hamlet"}


def test_all_characters_of_a_play_are_one_corpus(shakespeare_config: Configs, short_play: Path) -> None:
    corpus = small(shakespeare_config, short_play, persona="all", play="short")
    assert {example.persona for example in by_id(corpus).values()} == {"Ann", "Ben"}
    assert len(by_id(corpus)) == len(corpus.train) + len(corpus.eval), "a speech by two is one example of each"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"persona": "all"}, "needs dataset.play"),
        ({"persona": ["Hamlet", "Falstf"], "play": "all"}, "Did you mean.*Falstaff"),
        ({"persona": "Hamlt"}, "Did you mean Hamlet"),
        ({"persona": "Polonius"}, "Did you mean.*Lord Polonius"),
        ({"persona": "Iago", "play": "hamlet"}, "doesn't speak in Hamlet"),
        ({"persona": "Zzyzx", "play": "hamlet"}, r"Most speeches: Hamlet \(359\)"),
        ({"play": "hamelt"}, "Did you mean hamlet"),
        ({"persona": None}, "dataset.persona=Hamlet"),
        ({"persona": None, "play": "macbeth"}, r"Macbeth \(\d+\), Lady Macbeth"),
    ],
)
def test_a_wrong_name_gets_the_nearest_right_one(
    shakespeare_config: Configs, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_corpus(shakespeare_config(**changes))


def test_a_small_part_names_the_large_ones(shakespeare_config: Configs) -> None:
    with pytest.raises(
        DataError, match=r"Only 5 examples found, but 8 are needed.*Most speeches in Macbeth: Macbeth \(146"
    ):
        load_corpus(shakespeare_config(persona="Seyton"))


def test_a_folder_of_plays_is_read_like_a_file(shakespeare_config: Configs, short_play: Path, tmp_path: Path) -> None:
    assert small(shakespeare_config, tmp_path) == small(shakespeare_config, short_play)
    with pytest.raises(DataError, match="neither a play's .md file nor a folder"):
        small(shakespeare_config, tmp_path / "nowhere")


def test_the_fingerprint_follows_the_bytes(shakespeare_config: Configs, short_play: Path) -> None:
    before = small(shakespeare_config, short_play).fingerprint
    short_play.write_text(TWO_SCENES + "\n")
    assert small(shakespeare_config, short_play).fingerprint != before


def test_cards() -> None:
    play = choose_roles(["Hamlet"], None)[0].play
    long = persona_card("long", play, "Hamlet", "William Shakespeare")
    short = persona_card("short", play, "Hamlet", "William Shakespeare")
    assert long is not None and short is not None
    assert long.startswith("You are Hamlet, a character in William Shakespeare's tragedy Hamlet.") and "Horatio" in long
    assert "\n" not in short and len(short) < 120
    assert persona_card("none", play, "Hamlet") is None
    assert persona_card("You brood.", play, "Hamlet") == "You brood."
    assert partners(play, "Hamlet")[0] == "Horatio"


def test_every_leading_character_gets_a_long_card_of_about_the_same_length() -> None:
    for path in play_paths():
        play = open_play(path)
        name, _ = speech_counts(play).most_common(1)[0]
        card = persona_card("long", play, display_name(name.upper()), "William Shakespeare")
        assert card is not None and 90 <= len(card.split()) <= 120


@pytest.mark.parametrize(
    ("source", "shown"),
    [("KING HENRY IV", "King Henry IV"), ("DUKE OF YORK", "Duke of York"), ("First Witch", "First Witch")],
)
def test_names_are_shown_as_one_would_write_them(source: str, shown: str) -> None:
    assert display_name(source) == shown
