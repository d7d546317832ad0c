"""The order of examples in a split: clusters shuffled by a seed, and the examples of each by their ids.

Examples are known by their indices here, so that a split takes a few bytes an example, however long it is.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

INDEX = "Q"
"""type code of arrays of indices: 64 bits, unsigned"""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Clusters in order: `indices` of their examples, one cluster after the other, and how many each has."""

    indices: array[int]
    sizes: array[int]

    def chosen(self, keep: Callable[[int], bool]) -> Clusters:
        """Return the clusters whose number `keep` wants."""
        kept = [number for number in range(len(self.sizes)) if keep(number)]
        starts = self._starts()
        indices = array(INDEX)
        for number in kept:
            indices += self.indices[starts[number] : starts[number + 1]]
        return Clusters(indices, array(INDEX, (self.sizes[number] for number in kept)))

    def capped(self, most: int) -> Clusters:
        """Return the clusters with at most so many examples of each, the first ones."""
        starts = self._starts()
        indices = array(INDEX)
        for start, size in zip(starts, self.sizes, strict=False):
            indices += self.indices[start : start + min(size, most)]
        return Clusters(indices, array(INDEX, (min(size, most) for size in self.sizes)))

    def held_out(self, fraction: float) -> set[int]:
        """Return the numbers of clusters, in order, as long as each brings the examples nearer to the fraction.

        Neither these nor the others are none.
        """
        target = fraction * len(self.indices)
        chosen: set[int] = set()
        count = 0
        for number, size in enumerate(self.sizes):
            if len(chosen) < len(self.sizes) - 1 and abs(count + size - target) < abs(count - target):
                chosen.add(number)
                count += size
        return chosen or {min(range(len(self.sizes)), key=self.sizes.__getitem__)}

    def _starts(self) -> array[int]:
        starts = array(INDEX, [0])
        for size in self.sizes:
            starts.append(starts[-1] + size)
        return starts


def shuffled(names: Sequence[tuple[str, str]], seed: int) -> Clusters:
    """Return clusters in an order that depends on the seed and their names, with the examples of each by id.

    `names` are the cluster and the id of each example.
    """
    # Half of a hash orders them; the few that it doesn't tell apart, those of one cluster, are looked at by name.
    keys = array(INDEX, (int.from_bytes(_hash(seed, cluster)[:8], "big") for cluster, _ in names))
    order = array(INDEX, sorted(range(len(keys)), key=keys.__getitem__))
    indices, sizes = array(INDEX), array(INDEX)
    for members in _runs(order, keys):
        if len(members) == 1:
            indices.append(members[0])
            sizes.append(1)
            continue
        for group in _by_name(members, names, seed):
            indices.extend(group)
            sizes.append(len(group))
    return Clusters(indices, sizes)


def natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key with which speech-9 comes before speech-12."""
    pieces = re.split(r"([0-9]+)", text)
    return [(int(piece) if index % 2 else 0, piece) for index, piece in enumerate(pieces)], text


def _runs(order: Sequence[int], keys: Sequence[int]) -> Iterator[list[int]]:
    for _, members in groupby(order, key=keys.__getitem__):
        yield list(members)


def _by_name(members: Sequence[int], names: Sequence[tuple[str, str]], seed: int) -> Iterator[list[int]]:
    known = [(index, *names[index]) for index in members]
    known.sort(key=lambda item: (_hash(seed, item[1]), item[1], natural(item[2])))
    for _, group in groupby(known, key=lambda item: item[1]):
        yield [index for index, *_ in group]


def _hash(seed: int, cluster: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{cluster}".encode()).digest()
