"""Find completions that stand in two parts of the data, word for word or nearly: what is tested may not be learned.

Two texts are near-duplicates if at least half of the first one's runs of five words stand in the second (containment of
shingles, Broder 1997). Texts of fewer than eight words are compared as a whole only.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from persona_sweeps.data.example import Example

RUN = 5
"""words of a shingle"""
SHORTEST = 8
"""words of a text that can be a near-duplicate"""
NEAR = 0.5
"""share of the shingles that makes a near-duplicate"""
MOST_SHINGLES = 5_000_000
"""shingles that are kept of the texts searched; of more, a fixed share is kept, chosen by their hashes"""


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies of some texts among others: each is (the example, the one that it copies)."""

    texts: int
    """how many were looked at"""
    exact: tuple[tuple[Example, Example], ...]
    near: tuple[tuple[Example, Example], ...]

    @property
    def short(self) -> int:
        """How many of the exact copies have fewer than eight words, such as "No, my lord."."""
        return sum(len(words(example.completion)) < SHORTEST for example, _ in self.exact)


def words(text: str) -> list[str]:
    """Return the words of a text without case and punctuation."""
    return re.findall(r"\w+", text.casefold())


def copies(texts: Sequence[Example], among: Sequence[Example]) -> Copies:
    """Return which completions of `texts` also stand in `among`."""
    whole: dict[str, Example] = {}
    for example in among:
        whole.setdefault(" ".join(words(example.completion)), example)
    index = _Shingles(among)
    exact, near = [], []
    for example in texts:
        spoken = words(example.completion)
        if (same := whole.get(" ".join(spoken))) is not None:
            exact.append((example, same))
        elif (like := index.nearest(spoken)) is not None:
            near.append((example, like))
    return Copies(len(texts), tuple(exact), tuple(near))


def repeated(examples: Sequence[Example]) -> int:
    """Return how many examples repeat an earlier one: the same prompt and the same completion."""
    seen = Counter((example.prompt_text, example.completion) for example in examples)
    return sum(count - 1 for count in seen.values())


class _Shingles:
    """The shingles of some texts, each with the first text that has it."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples
        total = sum(example.completion.count(" ") + 1 for example in examples)
        self._rate = -(-total // MOST_SHINGLES)
        self._first: dict[int, int] = {}
        for number, example in enumerate(examples):
            for shingle in self._of(words(example.completion)):
                self._first.setdefault(shingle, number)

    def nearest(self, spoken: Sequence[str]) -> Example | None:
        """Return the text that shares most shingles, if it has at least half of them."""
        if len(spoken) < SHORTEST:
            return None
        shingles = set(self._of(spoken))
        shared = Counter(self._first[shingle] for shingle in shingles if shingle in self._first)
        if not shared:
            return None
        number, count = shared.most_common(1)[0]
        return self._examples[number] if count >= NEAR * len(shingles) else None

    def _of(self, spoken: Sequence[str]) -> Iterator[int]:
        for begin in range(len(spoken) - RUN + 1):
            digest = hashlib.blake2b(" ".join(spoken[begin : begin + RUN]).encode(), digest_size=8).digest()
            shingle = int.from_bytes(digest, "big")
            if shingle % self._rate == 0:
                yield shingle
