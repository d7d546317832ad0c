"""Find, in a persona set, the questions that tell characters apart."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from typing import TypeVar

T = TypeVar("T")

COMMON = 0.02
"""a word in more than this share of the questions is no topic"""


@dataclass(frozen=True)
class Asked:
    """A question to a character, with its answer; `card` is "" where there is none."""

    persona: str
    question: str
    answer: str
    card: str

    @cached_property
    def key(self) -> str:
        """The question without what doesn't count: case, white space, punctuation at its end."""
        return " ".join(self.question.casefold().split()).rstrip(" .?!…")

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(_words(self.question))


def same_questions(asked: Sequence[Asked], seed: int) -> Iterator[tuple[Asked, ...]]:
    """Yield, for each question that several characters were asked, the first answer of each."""
    by_key: dict[str, dict[str, Asked]] = defaultdict(dict)
    for one in asked:
        by_key[one.key].setdefault(one.persona, one)
    for answers in _shuffled(by_key.values(), seed, lambda answers: next(iter(answers.values())).key):
        if len(answers) > 1:
            yield tuple(answers.values())


def topic_pairs(asked: Sequence[Asked], seed: int) -> Iterator[tuple[Asked, Asked]]:
    """Yield pairs of different questions to two characters that share rare words, each question in one pair at most.

    The partner is the question whose shared words are the rarest, all together, counted against its length.
    """
    frequency = Counter(word for one in asked for word in one.words)
    most = max(10, int(COMMON * len(asked)))
    weights = {word: log(len(asked) / count) for word, count in frequency.items() if 1 < count <= most}
    index: dict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(asked):
        for word in sorted(one.words & weights.keys()):
            index[word].append(number)
    taken: set[str] = set()
    for one in _shuffled(asked, seed, lambda one: f"{one.persona}\0{one.key}"):
        scores: dict[int, float] = defaultdict(float)
        for word in sorted(one.words & weights.keys()):
            for number in index[word]:
                scores[number] += weights[word]
        if one.key in taken:
            continue
        others = [number for number in scores if asked[number].persona != one.persona]
        free = [number for number in others if asked[number].key not in {*taken, one.key}]
        if free:
            best = max(free, key=lambda number: (scores[number] / (1 + len(asked[number].words)), -number))
            taken |= {one.key, asked[best].key}
            yield one, asked[best]


def negatives(
    asked: Sequence[Asked], cards: Mapping[str, str], refusals: Sequence[str], seed: int
) -> Iterator[tuple[Asked, Asked]]:
    """Yield (a question that only one character can answer, the same asked of one that doesn't know).

    Only it can answer if the question has a word that its texts hold several times, and the other's never. What ends
    in a question mark comes first.
    """
    texts: dict[str, Counter[str]] = defaultdict(Counter)
    keys: dict[str, set[str]] = defaultdict(set)
    for one in asked:
        texts[one.persona].update(_words(f"{one.question} {one.answer}"))
        keys[one.persona].add(one.key)
    names = sorted(texts)
    shuffled = _shuffled(asked, seed, lambda one: f"{one.persona}\0{one.key}")
    for number, one in enumerate(sorted(shuffled, key=lambda one: not one.question.rstrip().endswith("?"))):
        others = [name for name in names if name != one.persona and one.key not in keys[name]]
        own = [word for word in one.words if texts[one.persona][word] > 1]
        ignorant = [name for name in others if any(word not in texts[name] for word in own)]
        if ignorant:
            name = ignorant[number % len(ignorant)]
            answer = refusals[_hash(seed, f"{name}\0{one.key}") % len(refusals)]
            yield one, replace(one, persona=name, answer=answer, card=cards[name])


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]{4,}", text.casefold())


def _shuffled(items: Iterable[T], seed: int, key: Callable[[T], str]) -> list[T]:
    return sorted(items, key=lambda item: (_hash(seed, key(item)), key(item)))


def _hash(seed: int, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{text}".encode()).digest()[:8], "big")
