"""The order of examples in a split: clusters shuffled by a seed, and the examples of each by their ids.

Examples are known by their indices here, so that a split takes a few bytes an example, however long it is.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

INDEX, PERSONA = "Q", "I"
"""type codes of arrays: of indices, 64 bits, and of numbers of characters, 32 bits"""
MANY = 10_000
"""from so many keys on, numpy sorts them, in a tenth of the memory"""


class Name(NamedTuple):
    """What a split knows of an example."""

    cluster: str
    id: str
    persona: str | None


@dataclass(frozen=True, slots=True)
class Clusters:
    """Clusters in order: `indices` of their examples, one cluster after the other, and how many each has.

    `personas` are numbers for the characters of the examples.
    """

    indices: array[int]
    personas: array[int]
    sizes: array[int]

    def chosen(self, keep: Callable[[int], bool]) -> Clusters:
        """Return the clusters whose number `keep` wants."""
        return self._of((number, span) for number, span in enumerate(self._spans()) if keep(number))

    def capped(self, most: int) -> Clusters:
        """Return the clusters with at most so many examples of each, the first ones."""
        return self._of(
            (n, slice(span.start, min(span.stop, span.start + most))) for n, span in enumerate(self._spans())
        )

    def held_out(self, fraction: float) -> set[int]:
        """Return the numbers of clusters, in order, as long as each brings the examples nearer to the fraction.

        A part is to have about this share of every character. Neither these clusters nor the others are none.
        """
        distance = {persona: fraction * count for persona, count in Counter(self.personas).items()}
        chosen: set[int] = set()
        for number, span in enumerate(self._spans()):
            counts = Counter(self.personas[span])
            change = sum(abs(distance[p] - count) - abs(distance[p]) for p, count in counts.items())
            if len(chosen) < len(self.sizes) - 1 and change < 0:
                chosen.add(number)
                for persona, count in counts.items():
                    distance[persona] -= count
        return chosen or {min(range(len(self.sizes)), key=self.sizes.__getitem__)}

    def _of(self, spans: Iterable[tuple[int, slice]]) -> Clusters:
        indices, personas, sizes = array(INDEX), array(PERSONA), array(INDEX)
        for _, span in spans:
            indices += self.indices[span]
            personas += self.personas[span]
            sizes.append(span.stop - span.start)
        return Clusters(indices, personas, sizes)

    def _spans(self) -> Iterator[slice]:
        start = 0
        for size in self.sizes:
            yield slice(start, start + size)
            start += size


def shuffled(names: Sequence[Name], seed: int) -> Clusters:
    """Return clusters in an order that depends on the seed and their names, with the examples of each by id."""
    # Half of a hash orders them; the few that it doesn't distinguish, those of one cluster, are looked at by name.
    keys, persona_of = array(INDEX), array(PERSONA)
    numbers: dict[str | None, int] = {}
    for name in names:
        keys.append(int.from_bytes(_hash(seed, name.cluster)[:8], "big"))
        persona_of.append(numbers.setdefault(name.persona, len(numbers)))
    indices, sizes = array(INDEX), array(INDEX)
    for members in _runs(_sorted(keys), keys):
        if len(members) == 1:
            indices.append(members[0])
            sizes.append(1)
            continue
        for group in _by_name(members, names, seed):
            indices.extend(group)
            sizes.append(len(group))
    return Clusters(indices, array(PERSONA, map(persona_of.__getitem__, indices)), sizes)


def natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key with which speech-9 comes before speech-12."""
    pieces = re.split(r"([0-9]+)", text)
    return [(int(piece) if index % 2 else 0, piece) for index, piece in enumerate(pieces)], text


def _sorted(keys: array[int]) -> Sequence[int]:
    """Return the indices of the keys from the smallest to the largest, equal ones in order."""
    if len(keys) < MANY:
        return sorted(range(len(keys)), key=keys.__getitem__)
    import numpy as np

    return array(INDEX, np.argsort(np.frombuffer(keys, dtype=np.uint64), kind="stable").view(np.uint64).tobytes())


def _runs(order: Sequence[int], keys: Sequence[int]) -> Iterator[list[int]]:
    for _, members in groupby(order, key=keys.__getitem__):
        yield list(members)


def _by_name(members: Sequence[int], names: Sequence[Name], seed: int) -> Iterator[list[int]]:
    known = [(index, names[index]) for index in members]
    known.sort(key=lambda item: (_hash(seed, item[1].cluster), item[1].cluster, natural(item[1].id)))
    for _, group in groupby(known, key=lambda item: item[1].cluster):
        yield [index for index, _ in group]


def _hash(seed: int, cluster: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{cluster}".encode()).digest()
