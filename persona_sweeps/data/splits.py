"""Split examples in train, validation and test: by cluster, by the seed only, whatever the order of examples."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from persona_sweeps.data.example import Example
from persona_sweeps.errors import ConfigError, DataError
from persona_sweeps.wording import pluralize

if TYPE_CHECKING:
    from persona_sweeps.data.source import Source


def split_examples(
    examples: Sequence[Example], source: Source, hint: str = ""
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return (train, eval), each in shuffled order of its clusters, and cut to `limit` and `eval_limit`.

    The test part gets whole clusters until it has about `eval_fraction` of the examples; neither side is empty. A
    smaller limit gives a prefix of what a larger one gives. Raises `DataError`, with `hint` at its end, for too few
    examples or clusters.
    """
    require_enough(examples, source, hint)
    rest, test = _divide(examples, source, "eval_fraction", hint)
    return evaluated(rest, test, source, hint)


def evaluated(
    rest: Sequence[Example], test: Sequence[Example], source: Source, hint: str = ""
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return (train, eval) for `evaluate_on`, each cut to its limit.

    For `test`, all the rest is train. For `validation`, a part of the rest is eval, and the test part isn't used: so
    settings can be chosen without a look at the test part.
    """
    train, held_out = rest, test
    if source.evaluate_on == "validation":
        train, held_out = _divide(rest, source, "validation_fraction", hint)
    return cut(train, source.limit, "limit"), cut(held_out, source.eval_limit, "eval_limit")


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
    chosen = _held_out_clusters({name: len(cluster) for name, cluster in clusters.items()}, fraction)
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


def _held_out_clusters(sizes: dict[str, int], fraction: float) -> set[str]:
    """Return clusters, in order, as long as each brings the number of examples nearer to the target."""
    target = fraction * sum(sizes.values())
    chosen: set[str] = set()
    count = 0
    for name, size in sizes.items():
        if len(chosen) < len(sizes) - 1 and abs(count + size - target) < abs(count - target):
            chosen.add(name)
            count += size
    return chosen or {min(sizes, key=lambda name: sizes[name])}


def _natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key with which speech-9 comes before speech-12."""
    pieces = re.split(r"([0-9]+)", text)
    return [(int(piece) if index % 2 else 0, piece) for index, piece in enumerate(pieces)], text


def _spaced(hint: str) -> str:
    return f" {hint}" if hint else ""
