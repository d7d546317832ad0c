"""Scripts of any layout become scenes, speeches and stage directions, with nothing lost and one name a speaker."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from persona_sweeps.data.scripts.screenplay import Direction, Script, layout_of, parse_script, written_scene
from persona_sweeps.data.scripts.speakers import Cast, is_crowd
from persona_sweeps.data.scripts.text import decoded, plain_text
from persona_sweeps.errors import ConfigError, DataError

EPISODE = """The One Where It Begins
Written by: Somebody & Someone Else
[Scene: Central Perk, Chandler, Joey,
and Monica are there.]

Monica: There's nothing to tell!
ROSS: (mortified) Hi. [to Joey] Hello.
(They hug.)
Rachel (as Monica): I'm neat.

Opening Credits
[Scene: The street.]
Monica and Rachel: Hey!
All: Oh!
The End
"""


def parsed(text: str, **options: object) -> list[tuple[str, list[tuple[str, str]]]]:
    """The scenes of a script as their headings and (speaker, text); a direction's speaker is ""."""
    script = parse_script(text, "test", **options)  # type: ignore[arg-type]
    return [(scene.heading, [_plain(item) for item in scene.items]) for scene in script.scenes]


def _plain(item: object) -> tuple[str, str]:
    return ("", item.text) if isinstance(item, Direction) else (item.speaker, item.text)  # type: ignore[attr-defined]


def speeches(text: str, **options: object) -> list[tuple[str, str]]:
    return [item for _, items in parsed(text, **options) for item in items if item[0]]


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.casefold()))


def test_an_episode_is_headings_speeches_and_directions() -> None:
    assert parsed(EPISODE) == [
        (
            "Central Perk, Chandler, Joey, and Monica are there.",
            [
                ("Monica", "There's nothing to tell!"),
                ("ROSS", "(mortified) Hi. [to Joey] Hello."),
                ("", "They hug."),
                ("Rachel", "(as Monica) I'm neat."),
            ],
        ),
        ("The street.", [("Monica and Rachel", "Hey!"), ("All", "Oh!")]),
    ]
    credits = parse_script(EPISODE, "test").credits
    assert credits[1] == "Written by: Somebody & Someone Else" and {"Opening Credits", "The End"} < {*credits}


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\r"])
def test_line_breaks_make_no_difference(break_: str) -> None:
    assert parsed(plain_text(EPISODE.replace("\n", break_))) == parsed(EPISODE)


def test_no_word_is_lost() -> None:
    script = parse_script(EPISODE, "test")
    kept = "\n".join([*map(written_scene, script.scenes), *script.credits])
    assert words(kept) == words(EPISODE)


@pytest.mark.parametrize("heading", ["[Scene: A bar.]", "[Scene: A bar.", "(Scene: A bar.)", "(Scene: A bar."])
@pytest.mark.parametrize("before", ["", "Ann: Bye. ", "Ann: Bye."])
def test_a_scene_may_open_inside_a_line_and_stay_open(before: str, heading: str) -> None:
    scenes = parsed(f"Ann: Hi.\n{before}{heading}\nBen: Yes.")
    assert [heading for heading, _ in scenes] == ["", "A bar."]
    assert scenes[1][1] == [("Ben", "Yes.")]


def test_a_numbered_scene_is_no_speaker() -> None:
    assert parsed("(Scene 4: Ross's apartment\nRoss: Hi.") == [("Scene 4: Ross's apartment", [("Ross", "Hi.")])]
    assert written_scene(parse_script("(Scene 4: A bar\nRoss: Hi.", "t").scenes[0]) == "[Scene 4: A bar]\nRoss: Hi."


def test_two_speeches_on_a_line_are_divided_at_known_names_after_a_sentence() -> None:
    text = "Joey: Be nice. Chandler: I told Ross: go! ROSS (V.O.): Why? Stranger: What?"
    known = {"joey", "ross", "chandler"}
    assert speeches(text, known=known) == [
        ("Joey", "Be nice."),
        ("Chandler", "I told Ross: go!"),
        ("ROSS", "(V.O.) Why? Stranger: What?"),
    ]
    assert len(speeches(text)) == 1


def test_known_names_are_cues_however_they_are_written() -> None:
    assert speeches("ross: Hi.\nRoss, (entering): Bye.\nfat guy: Oh.", known={"ross"}) == [
        ("ross", "Hi."),
        ("Ross", "(entering) Bye. fat guy: Oh."),
    ]


def test_a_speech_goes_on_in_the_next_line_and_what_follows_a_blank_one_is_a_direction() -> None:
    assert parsed("Ann: One\ntwo:\nthree.\n\nThey leave.\nBen: It is 10:30, see http://x: ok")[0][1] == [
        ("Ann", "One two: three."),
        ("", "They leave."),
        ("Ben", "It is 10:30, see http://x: ok"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "I said to him: go.",
        "This is it: the end.",
        "What he means: nothing.",
        "and then: nothing.",
        "I just passed by",
        "10:30 is late.",
        "https://example.org is a page.",
        "A very long beginning of a sentence that goes on: it has a colon.",
        "Oh! Really? Joey: no.",
        "Scene of the crime!",
        "Cut to the chase.",
        "Act one of these days.",
    ],
)
def test_sentences_with_a_colon_are_no_cues(line: str) -> None:
    assert speeches(f"Ann: So.\n{line}") == [("Ann", f"So. {line}")]


@pytest.mark.parametrize(
    "name",
    [
        "Mr. Bing",
        "Woman on phone",
        "Chandler's Mom",
        "Guy #1",
        "The Guy in the Hat",
        "DR. GREEN",
        "Élodie",
        "小明",
        "Ann-Marie",
    ],
)
def test_names_of_many_kinds_are_cues(name: str) -> None:
    assert speeches(f"{name}: Hi.\n{name} (sadly): Bye.\n{name}:\nWell.") == [
        (name, "Hi."),
        (name, "(sadly) Bye."),
        (name, "Well."),
    ]


def test_other_layouts_give_the_same_speeches() -> None:
    said = [("HAMLET", "To be."), ("LORD POLONIUS", "(Aside) Mad."), ("HAMLET", "Words, words.")] * 3
    texts = {
        "colon": "\n".join(f"{name}: {text}" for name, text in said),
        "dot": "\n".join(f"{name}. {text}" for name, text in said),
        "tab": "\n".join(f"{name}\t{text}" for name, text in said),
        "cues": "\n\n".join(f"{name}\n{text}" for name, text in said),
    }
    for layout, text in texts.items():
        assert layout_of(text) == layout
        assert speeches(text) == said
    assert speeches(re.sub(r"^(.+):", r"**\1:**", texts["colon"], flags=re.M)) == said
    assert speeches(re.sub(r"^([A-Z ]{5,})$", r"**\1**", texts["cues"], flags=re.M)) == said


PAGE = """<html><head><title>Joker</title><script>var x = "<b>";</script></head><body><a href="/">menu</a>
<td class="scrtext"><pre>
<b>                                 JOKER
</b>
                              Written by
                              Todd
<b>    1   INT. HA-HA'S - MORNING                    1
</b>
          A man puts on make-up. He
          cr\xedes &amp; laughs.

<b>                         NEWS ANCHOR (V.O.)
</b>               It's day 18 of the strike and we
               have rats.

<b>                         JOKER
</b>                    (laughing)
               Is it just me, or is it getting
               crazier out there?
<b>                         (MORE)
</b>
                                                            12.
<b>    CONTINUED: (2)
</b>
<b>                         JOKER (CONT'D)
</b>               Yes it is.

          He gets up.

<b>                         JOKER (CONT'D)
</b>               No.

                                                   CUT TO:
<b>    2   EXT. STREET - DAY                         2
</b>          Cars.
<b>                         MURRAY
</b>               Hello!
</pre><p>Writers: Todd</p></body></html>
"""
JOKER = [
    (
        "INT. HA-HA'S - MORNING",
        [
            ("", "A man puts on make-up. He críes & laughs."),
            ("NEWS ANCHOR", "(V.O.) It's day 18 of the strike and we have rats."),
            ("JOKER", "(laughing) Is it just me, or is it getting crazier out there? Yes it is."),
            ("", "He gets up."),
            ("JOKER", "No."),
            ("", "CUT TO:"),
        ],
    ),
    ("EXT. STREET - DAY", [("", "Cars."), ("MURRAY", "Hello!")]),
]


def test_a_screenplay_of_a_web_page_is_read_as_the_text_without_tags() -> None:
    text, is_latin = decoded(PAGE.encode("iso-8859-1"), "joker.html")
    assert is_latin and parsed(plain_text(text)) == JOKER
    bare = re.sub(r"</?b>", "", PAGE[PAGE.index("<pre>") + 5 : PAGE.index("</pre>")]).replace("&amp;", "&")
    assert parsed(bare) == JOKER
    assert parsed(plain_text(bare.replace("    1   INT", "<b>    1   INT").replace("1\n\n", "1\n</b>\n"))) == JOKER


def test_a_screenplay_without_columns_goes_by_blank_lines() -> None:
    flat = "\n".join(line.strip() for line in re.sub(r"</?b>", "", PAGE[PAGE.index("<b>    1") :]).split("\n"))
    flat = plain_text(flat[: flat.index("</pre>")].replace("\nMURRAY", "\n\nMURRAY"))
    assert parsed(flat) == JOKER


def test_a_page_of_paragraphs_is_read_as_its_lines() -> None:
    page = "<p><b>Monica:</b> There's\nnothing <i>(sighs)</i><br>to tell!</p><p>Joey: C&#39;mon.\n</p><p>[Scene: A bar]"
    assert speeches(plain_text(page)) == [("Monica", "There's nothing (sighs) to tell!"), ("Joey", "C'mon.")]


def test_files_in_other_encodings_are_read_and_what_is_no_text_is_refused() -> None:
    assert decoded("Ann: “né”".encode("cp1252"), "a.txt") == ("Ann: “né”", True)
    assert decoded("Ann: né".encode("utf-16"), "a.txt") == ("Ann: né", False)
    assert decoded(b"\xef\xbb\xbfAnn: hi", "a.txt") == ("Ann: hi", False)
    for raw in (b"%PDF-1.4 x", b"PK\x03\x04\0\0"):
        with pytest.raises(DataError, match=r"a\.txt isn't a text file"):
            decoded(raw, "a.txt")


def test_spoken_words_are_apart_from_directions() -> None:
    def spoken(text: str) -> str:
        return parse_script(f"Ann: {text}", "t").scenes[0].speeches[0].spoken

    assert spoken("(sighs) Hi (waves [at Ben]) , you. [Exit]") == "Hi, you."
    assert spoken("(sighs)") == ""
    assert spoken("Hi. (she leaves") == "Hi."


@pytest.mark.parametrize(
    "text", ["(" * 5000, "Ann: " + "[" * 5000, "A:" * 5000, "\n" * 9000, "x" * 200_000, "(Scene" * 999, "<b>" * 5000]
)
def test_hostile_text_takes_no_time(text: str) -> None:
    script: Script = parse_script(plain_text(text), "test", known={"ann"})
    assert script.name == "test"


def test_names_of_one_speaker_are_merged_and_groups_divided() -> None:
    names = ["ROSS", "Ross", "Ross", "Chan", "CHANDLER", "Mr. Bing", "Monica", "Guy and Girl"]
    cast = Cast(names, {"Chandler": ["Chan", "Mr Bing"]}, {"The guys": ["Chan", "Ross"]})
    assert {cast.one(name) for name in ("ROSS", "ross", "Ross.")} == {"Ross"}
    assert {cast.one(name) for name in ("CHANDLER", "chan", "MR. BING")} == {"Chandler"}
    assert cast.speakers("Monica and ROSS") == cast.speakers("Monica/Ross") == ("Monica", "Ross")
    assert cast.speakers("Monica, Ross & Chan") == ("Monica", "Ross", "Chandler")
    assert cast.speakers("THE GUYS") == ("Chandler", "Ross")
    assert cast.speakers("Guy and Girl") == ("Guy and Girl",)
    assert cast.speakers("All") == ("All",) and is_crowd("ALL") and not is_crowd("Ross")
    assert list(cast.check()) == []
    assert "dataset.aliases: nobody is called chnadler" in next(iter(Cast(names, {"Chandler": ["Chnadler"]}).check()))
    with pytest.raises(ConfigError, match="chan to Chandler and to Ross"):
        Cast(names, {"Chandler": ["Chan"], "Ross": ["chan"]})
