"""Make an example of each speech of a character: its prompt is the scene's heading and what was said just before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from persona_sweeps.data.cards.card_files import card_text
from persona_sweeps.data.cards.cards import listed
from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.scripts.screenplay import Direction, Scene, Script, Speech, heading_line
from persona_sweeps.data.scripts.speakers import is_crowd

EMPTY_SPEECH = "speech without spoken words"
CROWD = "speech of a crowd (All, Both, …), which no character learns"
OPENING = "[The scene begins.]"
"""the prompt of a speech that nothing goes before"""

LONG = (
    "You are {name}, a character in {work}. The people you speak with most are {partners}. Each message gives you a "
    "moment of the script: the heading of the scene, stage directions in brackets, and what was said just before, "
    "every speech after its speaker's name. Answer with {name}'s next speech and with nothing else. Stay in character: "
    "say what {name} would say here, with the feelings, manners and knowledge of that moment. Don't write a speaker's "
    "name, stage directions, other people's speeches or comments."
)
SHORT = "You are {name}, a character in {work}. Answer with {name}'s next speech."
TEMPLATES = {"long": LONG, "short": SHORT, "none": None}


class SpeechMaker:
    """Makes the examples of these characters, or of everybody who has a name of their own."""

    def __init__(
        self, scripts: Sequence[Script], personas: Sequence[str], work: str | None, card: Any, context_lines: int
    ) -> None:
        self._scripts = scripts
        self._personas = {name.casefold() for name in personas}
        self._work = work or "a script"
        self._card = card
        self._context_lines = context_lines
        self._partners = _partners(scripts)
        self._cards: dict[str, str | None] = {}
        self.dropped: Counter[str] = Counter()

    def examples(self) -> Iterator[Example]:
        """Yield the speeches in the order of the scripts; counts those that give no example."""
        for script in self._scripts:
            for number, scene in enumerate(script.scenes, start=1):
                yield from self._of_scene(script, scene, f"{script.name}/scene-{number}")

    def _of_scene(self, script: Script, scene: Scene, cluster: str) -> Iterator[Example]:
        count = 0
        for index, item in enumerate(scene.items):
            if not isinstance(item, Speech):
                continue
            count += 1
            wanted = self._learners(item)
            if wanted and not item.spoken:
                self.dropped[EMPTY_SPEECH] += 1
                continue
            for speaker in wanted:
                joint = f"-{speaker}" if len(item.speakers) > 1 else ""
                yield Example(
                    id=f"{cluster}/speech-{count}{joint}",
                    prompt=self._prompt(speaker, scene, index),
                    completion=item.spoken,
                    cluster=cluster,
                    persona=speaker,
                    metadata={"script": script.name},
                )

    def _learners(self, speech: Speech) -> list[str]:
        if self._personas:
            return [name for name in speech.speakers if name.casefold() in self._personas]
        named = [name for name in speech.speakers if not is_crowd(name)]
        self.dropped[CROWD] += not named
        return named

    def _prompt(self, speaker: str, scene: Scene, index: int) -> tuple[Message, ...]:
        if speaker not in self._cards:
            self._cards[speaker] = self._card_of(speaker)
        card = self._cards[speaker]
        heading = [heading_line(scene.heading)] if scene.heading else []
        situation = [*heading, *context(scene.items[:index], self._context_lines)]
        system = (Message("system", card),) if card else ()
        return (*system, Message("user", "\n".join(situation) or OPENING))

    def _card_of(self, speaker: str) -> str | None:
        card = self._card
        if not isinstance(card, str) or card.strip().casefold() not in TEMPLATES:
            return card_text(card, speaker)
        template = TEMPLATES[card.strip().casefold()]
        if template is None:
            return None
        others = [name for name, _ in self._partners.get(speaker, Counter()).most_common(5)]
        return template.format(name=speaker, work=self._work, partners=listed(others) or "unnamed")


def in_stretches(script: Script, length: int) -> Script:
    """Return a script whose scenes are divided into stretches of so many speeches."""
    scenes = []
    for scene in script.scenes:
        starts = [index for index, item in enumerate(scene.items) if isinstance(item, Speech)][length::length]
        for start, end in pairwise([0, *starts, len(scene.items)]):
            scenes.append(replace(scene, items=scene.items[start:end]))
    return replace(script, scenes=tuple(scenes))


def context(before: Sequence[Speech | Direction], n: int) -> list[str]:
    """Return the last `n` speeches of a scene so far, with the directions from the first of them on.

    If the scene has at most `n` speeches so far, the directions that open it are included; for 0 the last ones alone.
    """
    speeches = [index for index, item in enumerate(before) if isinstance(item, Speech)]
    start = 0
    if n == 0 and speeches:
        start = speeches[-1] + 1
    elif len(speeches) > n:
        start = speeches[-n]
    return [item.written for item in before[start:]]


def _partners(scripts: Sequence[Script]) -> Mapping[str, Counter[str]]:
    """Count who speaks right before or after whom."""
    found: dict[str, Counter[str]] = {}
    for script in scripts:
        for scene in script.scenes:
            for one, other in zip(scene.speeches, scene.speeches[1:], strict=False):
                for speech, neighbour in ((one, other), (other, one)):
                    for name in speech.speakers:
                        others = [n for n in neighbour.speakers if n not in speech.speakers and not is_crowd(n)]
                        found.setdefault(name, Counter()).update(others)
    return found
