"""Split examples in train, validation and test: by cluster, by the seed only, whatever the order of examples."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from persona_sweeps.data.example import Example
from persona_sweeps.errors import ConfigError, DataError
from persona_sweeps.wording import pluralize

if TYPE_CHECKING:
    from persona_sweeps.data.source import Source


class Parts(NamedTuple):
    """The parts of a corpus, each in shuffled order of its clusters, and cut to its limit."""

    train: tuple[Example, ...]
    eval: tuple[Example, ...]
    validation: tuple[Example, ...] = ()
    """what decides when training stops; empty unless it is monitored"""


def split_examples(examples: Sequence[Example], source: Source, hint: str = "", monitored: bool = False) -> Parts:
    """Split examples by cluster.

    The test part gets whole clusters until it has about `eval_fraction` of the examples; neither side is empty. A
    smaller limit gives a prefix of what a larger one gives. Raises `DataError`, with `hint` at its end, for too few
    examples or clusters.
    """
    require_enough(examples, source, hint)
    rest, test = _divide(examples, source, "eval_fraction", hint)
    return _evaluated(rest, test, source, hint, monitored)


def given_parts(
    train: Sequence[Example], held_out: Sequence[Example], source: Source, hint: str = "", monitored: bool = False
) -> Parts:
    """Return the parts of a split that the data bring with them, in the order that `split_examples` would give.

    Raises `DataError` for too few examples, or clusters on both sides.
    """
    require_enough(train, source, hint)
    if not held_out:
        raise DataError(f"The held-out part holds no example to evaluate on.{_spaced(hint)}")
    shared = {example.cluster for example in train} & {example.cluster for example in held_out}
    if shared:
        listing = ", ".join(sorted(shared)[:3])
        raise DataError(
            f"{pluralize(len(shared), 'cluster')} in both the training data and the held-out data ({listing}): "
            f"keep each scene, episode or dialogue on one side, or give them different names.{_spaced(hint)}"
        )
    sides = [
        [example for cluster in shuffled_clusters(side, source.split_seed).values() for example in cluster]
        for side in (train, held_out)
    ]
    return _evaluated(sides[0], sides[1], source, hint, monitored)


def _evaluated(rest: Sequence[Example], test: Sequence[Example], source: Source, hint: str, monitored: bool) -> Parts:
    """Return the parts for `evaluate_on`, each cut to its limit.

    For `test`, all the rest is train, less a validation part if training is monitored. For `validation`, that part is
    eval, and the test part isn't used: so settings can be chosen without a look at the test part.
    """
    train, held_out = rest, test
    validation: Sequence[Example] = ()
    if source.evaluate_on == "validation" or monitored:
        train, validation = _divide(rest, source, "validation_fraction", hint)
    if source.evaluate_on == "validation":
        held_out = validation
    validation = validation if monitored else ()
    held_out, validation = (
        cut(_capped(part, source.eval_per_cluster), source.eval_limit, "eval_limit") for part in (held_out, validation)
    )
    return Parts(cut(train, source.limit, "limit"), held_out, validation)


def _capped(examples: Sequence[Example], most: int | None) -> Sequence[Example]:
    """Return at most so many examples of each cluster, the first ones."""
    if most is None:
        return examples
    counts: Counter[str] = Counter()
    kept = []
    for example in examples:
        counts[example.cluster] += 1
        if counts[example.cluster] <= most:
            kept.append(example)
    return kept


def _divide(examples: Sequence[Example], source: Source, key: str, hint: str) -> tuple[list[Example], list[Example]]:
    """Return (the rest, a part with about the share that the key sets), each in shuffled order of its clusters."""
    fraction = float(getattr(source, key))
    if not 0 < fraction < 1:
        raise ConfigError(f"dataset.{key}={fraction} must lie between 0 and 1.")
    clusters = shuffled_clusters(examples, source.split_seed)
    if len(clusters) < 2:
        scope = "All" if key == "eval_fraction" else "Outside the test part all"
        raise DataError(
            f"{scope} {len(examples)} examples come from one scene or dialogue ({examples[0].cluster}), and a split in "
            f"train and {'eval' if key == 'eval_fraction' else 'validation'} needs at least 2.{_spaced(hint)}"
        )
    sizes = {name: Counter(example.persona for example in cluster) for name, cluster in clusters.items()}
    chosen = _held_out_clusters(sizes, fraction)
    rest = [example for name, cluster in clusters.items() if name not in chosen for example in cluster]
    return rest, [example for name, cluster in clusters.items() if name in chosen for example in cluster]


def require_enough(examples: Sequence[Example], source: Source, hint: str = "") -> None:
    """Raise `DataError` if there are fewer than `min_examples`."""
    if len(examples) < source.min_examples:
        raise DataError(
            f"Only {pluralize(len(examples), 'example')} found, but {source.min_examples} are needed "
            f"(dataset.min_examples).{_spaced(hint)}"
        )


def shuffled_clusters(examples: Iterable[Example], seed: int) -> dict[str, list[Example]]:
    """Group examples by cluster: clusters in an order that depends on the seed and their names, examples by id."""
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.cluster, []).append(example)
    names = sorted(groups, key=lambda name: (hashlib.sha256(f"{seed}\0{name}".encode()).digest(), name))
    return {name: sorted(groups[name], key=lambda example: _natural(example.id)) for name in names}


def cut(examples: Sequence[Example], limit: int | None, key: str) -> tuple[Example, ...]:
    """Return the first `limit` examples; all of them for None. Raises `ConfigError` for a limit below 1."""
    if limit is not None and limit < 1:
        raise ConfigError(f"dataset.{key}={limit} must be at least 1; null takes everything.")
    return tuple(examples[:limit])


def spread(clusters: Sequence[str], limit: int | None) -> list[int]:
    """Return the indices of at most `limit` items, in order, taken from the clusters in turn.

    A smaller limit gives some of what a larger one gives.
    """
    if limit is None or limit >= len(clusters):
        return list(range(len(clusters)))
    seen: Counter[str] = Counter()
    turns = []
    for index, cluster in enumerate(clusters):
        turns.append((seen[cluster], index))
        seen[cluster] += 1
    return sorted(index for _, index in sorted(turns)[:limit])


def _held_out_clusters(sizes: Mapping[str, Counter[str | None]], fraction: float) -> set[str]:
    """Return clusters, in order, as long as each brings the numbers of examples nearer to their targets.

    `sizes` counts a cluster's examples of each character: a part is to have about this share of every character.
    """
    total: Counter[str | None] = sum(sizes.values(), Counter())
    distance = {persona: fraction * count for persona, count in total.items()}
    chosen: set[str] = set()
    for name, counts in sizes.items():
        change = sum(abs(distance[p] - count) - abs(distance[p]) for p, count in counts.items())
        if len(chosen) < len(sizes) - 1 and change < 0:
            chosen.add(name)
            for persona, count in counts.items():
                distance[persona] -= count
    return chosen or {min(sizes, key=lambda name: sizes[name].total())}


def _natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key with which speech-9 comes before speech-12."""
    pieces = re.split(r"([0-9]+)", text)
    return [(int(piece) if index % 2 else 0, piece) for index, piece in enumerate(pieces)], text


def _spaced(hint: str) -> str:
    return f" {hint}" if hint else ""
