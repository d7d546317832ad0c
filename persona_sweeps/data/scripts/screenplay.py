"""Parse a script into scenes, speeches and stage directions, whatever its layout, and write it in one.

    script = parse_script("[Scene: Central Perk.]\nRoss: (sadly) Hi.\n(He sits down.)", "pilot")
    script.scenes[0].heading, script.scenes[0].items     # "Central Perk.", (Speech(…), Direction(…))

Layouts are `colon` (`Ross: Hi.`), `dot` (`ROSS. Hi.`), `tab`, and `cues`: the name on a line of its own in capitals, as
in screenplays.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from persona_sweeps.data.cards.cards import listed
from persona_sweeps.data.scripts.cues import Cue, heading_text, is_act, unbracketed
from persona_sweeps.data.scripts.layout_cues import count_cues, cue_tokens
from persona_sweeps.data.scripts.layout_lines import count_cue_lines, line_tokens

LAYOUTS = ("auto", "colon", "dot", "tab", "cues")
DELIMITERS = {"colon": ":", "dot": ".", "tab": "\t"}


@dataclass(frozen=True, slots=True)
class Direction:
    """A stage direction between speeches, without its brackets."""

    text: str

    @property
    def written(self) -> str:
        return f"({self.text})"


@dataclass(frozen=True, slots=True)
class Speech:
    """What somebody says until the next one begins, in one line; directions inside it stay in their brackets."""

    speakers: tuple[str, ...]
    text: str

    @property
    def speaker(self) -> str:
        """The names as a script writes them: `Monica`, or `Monica and Rachel`."""
        return listed(self.speakers)

    @property
    def spoken(self) -> str:
        """The text without its stage directions."""
        return spoken(self.text)

    @property
    def written(self) -> str:
        return f"{self.speaker}: {self.text}".rstrip()


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene; `heading` is "" before the first one that has any."""

    heading: str
    items: tuple[Speech | Direction, ...]

    @property
    def speeches(self) -> tuple[Speech, ...]:
        return tuple(item for item in self.items if isinstance(item, Speech))


@dataclass(frozen=True, slots=True)
class Script:
    """An episode, film or play; `credits` are lines that tell of the script itself, which its scenes lack."""

    name: str
    scenes: tuple[Scene, ...]
    credits: tuple[str, ...] = ()


def parse_script(text: str, name: str, layout: str = "auto", known: Collection[str] = ()) -> Script:
    """Parse plain text.

    A name of `known` (casefolded) begins a speech however it is written, and also inside a line, after the end of a
    sentence. Words are never lost: what belongs to no scene is in `credits`.
    """
    layout = layout_of(text) if layout == "auto" else layout
    tokens = cue_tokens(text) if layout == "cues" else line_tokens(text, DELIMITERS[layout], known)
    builder = _Builder()
    for kind, content in tokens:
        builder.take(kind, content)
    return Script(name, *builder.finish())


def layout_of(text: str) -> str:
    """Return the layout by which a text has the most speeches; `colon` if none has any."""
    counts = {layout: count_cue_lines(text, delimiter) for layout, delimiter in DELIMITERS.items()}
    counts["cues"] = count_cues(text)
    return max(counts, key=lambda layout: counts[layout])


def heading_line(heading: str) -> str:
    """Return `[Scene: Central Perk.]`, or `[Scene 4: …]` for a heading that says what it is itself."""
    opens = re.match(r"(?i:scene\s*[\dIVX]|cut to\b)", heading)
    return f"[{heading}]" if opens else f"[Scene: {heading}]"


def written_scene(scene: Scene) -> str:
    """Return a scene as text, a line for each item."""
    heading = [heading_line(scene.heading)] if scene.heading else []
    return "\n".join([*heading, *(item.written for item in scene.items)])


def spoken(text: str) -> str:
    """Return a speech without what stands in brackets; one that isn't closed goes on to the end."""
    before = None
    while before != text:
        before, text = text, re.sub(r"\([^()\[\]]*\)|\[[^()\[\]]*\]", " ", text)
    text = re.sub(r"[(\[].*$", "", text, flags=re.S)
    return re.sub(r" +([,.!?;:…])", r"\1", " ".join(text.split())).strip()


class _Builder:
    """Collects tokens into scenes."""

    def __init__(self) -> None:
        self._scenes: list[Scene] = []
        self._heading = ""
        self._items: list[Speech | Direction] = []
        self._speaker: str | None = None
        self._said: list[str] = []
        self._credits: list[str] = []

    def take(self, kind: str, content: str | Cue) -> None:
        if isinstance(content, Cue):
            self._take_cue(content)
        else:
            getattr(self, f"_take_{kind}")(" ".join(content.split()))

    def finish(self) -> tuple[tuple[Scene, ...], tuple[str, ...]]:
        self._close_scene()
        return tuple(self._scenes), tuple(self._credits)

    def _take_heading(self, text: str) -> None:
        self._close_scene()
        heading = heading_text(text)
        self._heading = f"{self._heading.rstrip('.')}. {heading}" if self._heading else heading

    def _take_cue(self, cue: Cue) -> None:
        self._close_speech()
        last = self._items[-1] if self._items else None
        if cue.continued and isinstance(last, Speech) and last.speakers == (cue.name,):
            self._items.pop()
            self._said = [last.text]
        self._speaker = cue.name
        self._said += [f"({note})" for note in cue.notes]

    def _take_line(self, text: str) -> None:
        if self._speaker is not None:
            self._said.append(text)
        elif self._items or self._heading:
            self._take_direction(text)
        else:
            self._credits.append(text)

    def _take_direction(self, text: str) -> None:
        self._close_speech()
        if inside := unbracketed(text):
            self._items.append(Direction(inside))

    def _take_credit(self, text: str) -> None:
        self._close_speech()
        self._credits.append(text)

    def _close_speech(self) -> None:
        if self._speaker is not None:
            self._items.append(Speech((self._speaker,), _closed(" ".join(self._said))))
        self._speaker, self._said = None, []

    def _close_scene(self) -> None:
        """Store the scene; a heading without one is kept for the next, as that of an act is."""
        self._close_speech()
        if not self._heading and not self._scenes and not any(isinstance(item, Speech) for item in self._items):
            self._credits += [item.text for item in self._items if isinstance(item, Direction)]  # a title page
        elif self._items:
            self._scenes.append(Scene(self._heading, tuple(self._items)))
            self._heading = ""
        elif not is_act(self._heading):
            self._credits += [self._heading] if self._heading else []
            self._heading = ""
        self._items = []


def _closed(text: str) -> str:
    """Close the brackets that a speech leaves open."""
    open_: list[str] = []
    for letter in text:
        if letter in "([":
            open_.append(")" if letter == "(" else "]")
        elif open_ and letter == open_[-1]:
            open_.pop()
    return text + "".join(reversed(open_))


def names_of(scripts: Iterable[Script]) -> Iterable[str]:
    """Yield the speaker of every speech, as the scripts write it."""
    return (name for script in scripts for scene in script.scenes for item in scene.speeches for name in item.speakers)
