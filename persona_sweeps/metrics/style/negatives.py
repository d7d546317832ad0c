"""Pairs of a cue and a reply that a cross-encoder learns from: right ones, hard wrong ones and easy ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from persona_sweeps.metrics.passages import PASSAGES, passages
from persona_sweeps.metrics.style.voices import Part, Said


@dataclass(frozen=True)
class Pairs:
    """Lines with their cues, and whether each is the character's."""

    lines: Sequence[Said]
    is_right: Sequence[bool]

    @property
    def weight_of_right(self) -> float:
        """What a right pair counts, so that right and wrong ones count alike."""
        right = sum(self.is_right)
        return (len(self.lines) - right) / max(1, right)


def pairs_of(part: Part) -> Pairs:
    """Return the character's lines; as many replies of others to the same cues; their own lines; and easy texts.

    A hard wrong pair is what somebody else says in the same scene, put behind the character's cue, so that the cue
    alone can't decide. An easy one is text of nobody.
    """
    by_scene: dict[str, list[Said]] = {}
    for line, scene in zip(part.other, part.other_scenes, strict=True):
        by_scene.setdefault(scene, []).append(line)
    hard = [
        Said(line.cue, _drawn(line, by_scene[scene]).text)
        for line, scene in zip(part.own, part.own_scenes, strict=True)
        if scene in by_scene
    ]
    easy = [Said(line.cue, text) for line, text in zip(part.own, passages(PASSAGES), strict=False)]
    wrong = [*hard, *part.other, *easy]
    return Pairs([*part.own, *wrong], [True] * len(part.own) + [False] * len(wrong))


def _drawn(line: Said, among: Sequence[Said]) -> Said:
    """Draw a line by what is said alone, the same each time."""
    number = int.from_bytes(hashlib.sha256(f"{line.cue}\0{line.text}".encode()).digest()[:8], "big")
    return among[number % len(among)]
