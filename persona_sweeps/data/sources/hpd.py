"""Source `hpd`: dialogues of the Harry Potter Dialogue format, each behind a card that says who speaks, and where.

Each turn of the character is an example, whose prompt holds the card (system), what the others said (user), and the
character's own turns before (assistant). In a session with a `positive_response` this is what the character is to say
after the whole dialogue; its negative responses are in the metadata.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.config.checks import one_of
from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.formats.hpd_card import PARTS, dialogue_card, out_of_range
from persona_sweeps.data.formats.hpd_file import Found, Line, Session, read_sessions
from persona_sweeps.data.paths import existing_file
from persona_sweeps.data.personas import of_personas
from persona_sweeps.data.plays.library import EVERY
from persona_sweeps.data.source import Reading, Source

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

TURNS = ("all", "last")
OPENING, MORE = "[The dialogue begins.]", "[Nobody answers.]"
"""what stands in for the others where the character speaks first, or again"""
SHOWN = 3
STAND_IN_NOTE = (
    "dataset=hpd without dataset.path: scenes of Hamlet stand in, as files of that format. A play doesn't say what "
    "people own, like or feel, so most attributes and all affections are left out; familiarity counts exchanges."
)


@dataclass
class Hpd(Source):
    """The dialogues of one file, or of two: one to train on and one to evaluate on."""

    path: str | None = None
    eval_path: str | None = None
    turns: str = "all"
    card: list[str] = field(default_factory=lambda: list(PARTS))

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        yield from one_of("dataset.turns", self.turns, TURNS)
        for part in self.card:
            yield from one_of("dataset.card", part, PARTS)
        if self.path is None and self.eval_path is not None:
            yield "dataset.eval_path is set, and dataset.path, the file to train on, isn't."

    def files(self) -> list[Path]:
        return [path for path in self._paths().values() if path.exists()]

    def read(self) -> Reading:
        """Return the turns of the characters in `path`, and those in `eval_path` as held out.

        Raises `DataError` for a file that is missing or malformed, `ConfigError` for a character that never speaks.
        """
        digest = hashlib.sha256()
        notes = [] if self.path is not None else [STAND_IN_NOTE]
        dropped: Counter[str] = Counter()
        parts: dict[str, list[Example]] = {}
        for key, path in self._paths().items():
            found = read_sessions(existing_file(str(path), f"dataset.{key}"))
            notes += [*found.notes, *_odd_relations(found)]
            parts[key] = list(self._examples(found, "test/" if key == "eval_path" else "", dropped))
            dropped += found.dropped
            digest.update(f"\0{key}\0".encode() + path.read_bytes())
        named = () if self.personas == (EVERY,) else self.personas
        kept = {example.id for example in of_personas([e for part in parts.values() for e in part], named)}
        train, held_out = ([e for e in parts.get(key, ()) if e.id in kept] for key in ("path", "eval_path"))
        return Reading(
            train,
            digest.hexdigest(),
            held_out=held_out if "eval_path" in parts else None,
            dropped=dict(dropped),
            hint=f"They come from {self._paths()['path']}.",
            notes=tuple(notes),
        )

    def _paths(self) -> dict[str, Path]:
        """Return the files by their keys."""
        if self.path is None:
            from persona_sweeps.data.stand_ins.hpd import stand_in

            return dict(zip(("path", "eval_path"), stand_in(), strict=True))
        given = {"path": self.path, "eval_path": self.eval_path}
        return {key: Path(name).expanduser() for key, name in given.items() if name is not None}

    def _examples(self, found: Found, prefix: str, dropped: Counter[str]) -> Iterator[Example]:
        """Yield the examples of a file: of whom the relations are with, or of every speaker if names are given."""
        heroes = Counter(session.hero for session in found.sessions if session.hero)
        usual = heroes.most_common(1)[0][0] if heroes else ""
        for session in found.sessions:
            speakers = {line.speaker.casefold(): line.speaker for line in session.lines if line.speaker}
            if session.response and session.response.speaker:
                speakers.setdefault(session.response.speaker.casefold(), session.response.speaker)
            hero = (session.hero or usual).casefold()
            chosen = speakers if self.personas or not hero else {hero: speakers[hero]} if hero in speakers else {}
            if not chosen:
                dropped["dialogue in which the character says nothing"] += 1
            for name in chosen.values():
                examples = list(_turns(session, name, dialogue_card(session, name, self.card), prefix))
                yield from examples if self.turns == "all" else examples[-1:]


def _turns(session: Session, persona: str, card: str, prefix: str) -> Iterator[Example]:
    """Yield an example for each turn of the character, or the response that the session asks this character for."""
    name = f"{prefix}{session.name}"
    asked = session.response if session.response and _is(session.response, persona) else None
    messages = [Message("system", card)] if card else []
    waiting: list[str] = []

    def prompt() -> tuple[Message, ...]:
        absent = MORE if messages and messages[-1].role == "assistant" else OPENING
        return (*messages, Message("user", "\n".join(waiting) or absent))

    def example(line: Line, label: str, negatives: tuple[str, ...] = ()) -> Example:
        metadata = {"position": session.position, **({"negatives": list(negatives)} if negatives else {})}
        dialogue = f"{name}/{persona}"  # in ids, too: so the turns of one character are neighbours
        return Example(f"{dialogue}/{label}", prompt(), line.text, name, persona, metadata, dialogue)

    for line in _joined(session.lines, persona):
        if not _is(line, persona):
            waiting.append(f"{line.speaker}: {line.text}" if line.speaker else f"[{line.text}]")
            continue
        if asked is None:
            yield example(line, f"line-{line.number}")
        messages += [prompt()[-1], Message("assistant", line.text)]
        waiting = []
    if asked is not None:
        yield example(asked, "response", session.negatives)


def _joined(lines: tuple[Line, ...], persona: str) -> Iterator[Line]:
    """Yield the lines, with those that the character speaks in a row as one."""
    held: Line | None = None
    for line in lines:
        if held and _is(held, persona) and _is(line, persona):
            held = Line(held.speaker, f"{held.text}\n{line.text}", held.number)
            continue
        if held:
            yield held
        held = line
    if held:
        yield held


def _is(line: Line, persona: str) -> bool:
    return line.speaker.casefold() == persona.casefold()


def _odd_relations(found: Found) -> list[str]:
    odd = [text for session in found.sessions for text in out_of_range(session)]
    more = f", and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
    return [f"Not on the scale of its kind: {'; '.join(odd[:SHOWN])}{more}."] if odd else []
