"""The lines that a voice is learned from and checked by: a character's, and those of others in the same scenes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from persona_sweeps.metrics.words import words

if TYPE_CHECKING:
    from persona_sweeps.data.all_characters import AllCharacters
    from persona_sweeps.data.example import Example

LEAST_LINES = 20
"""of the character and of others, in either part: fewer say nothing"""
LEAST_WORDS = 5
"""of a text that counts as copied where it is a part of a line; a shorter one must be the whole line"""
CUE = 300
"""characters of what is replied to, at most: its end"""
_WORD = re.compile(r"\w+")
_TITLES = """
    king queen prince princess duke duchess earl lord lady sir master mistress captain count countess doctor friar
    first second third fourth fifth sixth old young both all another other boy servant messenger
"""
"""words of names that are words of speech as well, in lower case"""


class Said(NamedTuple):
    """A line and what it replies to, without names."""

    cue: str
    text: str


@dataclass(frozen=True)
class Part:
    """Lines of the character and of others, and the scene of each."""

    own: Sequence[Said]
    own_scenes: Sequence[str]
    other: Sequence[Said]
    other_scenes: Sequence[str]

    @property
    def is_enough(self) -> bool:
        return min(len(self.own), len(self.other)) >= LEAST_LINES


@dataclass(frozen=True)
class Voice:
    """A character's lines among others', to train on, and held out without those that are also in training."""

    character: str
    train: Part
    held_out: Part

    @cached_property
    def _learned(self) -> str:
        """The words of all training lines, a line each."""
        lines = (*self.train.own, *self.train.other)
        return "".join(f"\n {' '.join(words(line.text))} \n" for line in lines)

    def is_learned(self, line: Said) -> bool:
        """Whether a text stands whole in a training line, so that a classifier fitted on it knows it by heart."""
        said = words(line.text)
        within = f" {' '.join(said)} "
        return bool(said) and (within if len(said) >= LEAST_WORDS else f"\n{within}\n") in self._learned

    @classmethod
    def of(cls, character: str, everyone: AllCharacters) -> Voice:
        """Divide the lines of the scenes in which the character speaks."""
        without_names = names_removed(everyone)
        train, held_out = (_part(character, lines, without_names) for lines in (everyone.train, everyone.held_out))
        voice = cls(character, train, held_out)
        return replace(voice, held_out=voice._unlearned(held_out))

    def _unlearned(self, part: Part) -> Part:
        """Return what a part has of lines that aren't in the training lines."""
        own, other = (
            [(line, scene) for line, scene in zip(lines, scenes, strict=True) if not self.is_learned(line)]
            for lines, scenes in ((part.own, part.own_scenes), (part.other, part.other_scenes))
        )
        return Part([line for line, _ in own], [s for _, s in own], [line for line, _ in other], [s for _, s in other])


def _part(character: str, lines: Sequence[Example], without_names: WithoutNames) -> Part:
    scenes = {line.cluster for line in lines if line.persona == character}
    there = [line for line in lines if line.cluster in scenes]
    own = [line for line in there if line.persona == character]
    other = [line for line in there if line.persona != character and line.persona is not None]
    said = [[without_names.said(line.prompt_text, line.completion) for line in of] for of in (own, other)]
    return Part(said[0], [line.cluster for line in own], said[1], [line.cluster for line in other])


@dataclass(frozen=True)
class WithoutNames:
    """Removes the speakers' names from texts, so that a voice isn't known by whom it speaks to."""

    pattern: re.Pattern[str] | None

    def __call__(self, text: str) -> str:
        """Return a text in one line, without names, NULs, and the colon of a speaker tag."""
        plain = text.replace("\0", " ")
        plain = plain if self.pattern is None else self.pattern.sub(" ", plain)
        return " ".join(plain.split()).lstrip(":. ")

    def said(self, prompt: str, text: str) -> Said:
        """Return a text and the end of its prompt."""
        return Said(self(prompt.split("\n\n")[-1])[-CUE:], self(text))


def names_removed(everyone: AllCharacters) -> WithoutNames:
    """Return what removes the names of all speakers, capitalized or in capitals; titles and numbers stay."""
    return _removing(line.persona for lines in (everyone.train, everyone.held_out) for line in lines)


def _removing(names: Iterable[str | None]) -> WithoutNames:
    words = {word for name in {*names} if name for word in _WORD.findall(name)}
    chosen = {word for word in words if len(word) > 2 and word[0].isupper() and word.lower() not in _TITLES.split()}
    forms = sorted({form for word in chosen for form in (word, word.upper())}, key=lambda form: (-len(form), form))
    return WithoutNames(re.compile(rf"\b(?:{'|'.join(map(re.escape, forms))})\b") if forms else None)


def by_character(personas: Iterable[str | None]) -> Mapping[str, list[int]]:
    """Return the indices of the lines of each character."""
    found: dict[str, list[int]] = {}
    for index, persona in enumerate(personas):
        if persona is not None:
            found.setdefault(persona, []).append(index)
    return found
