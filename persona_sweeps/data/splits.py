"""The split in train, validation and test: by cluster, decided by the seed alone, whatever the order of examples."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from persona_sweeps.data.example import Example
from persona_sweeps.errors import ConfigError, DataError
from persona_sweeps.wording import counted

if TYPE_CHECKING:
    from persona_sweeps.data.source import Source


def split_examples(
    examples: Sequence[Example], source: Source, hint: str = ""
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return (train, eval), each in shuffled order of its clusters and cut to `limit` and `eval_limit`.

    The test part takes whole clusters until it has about `eval_fraction` of the examples; neither side is empty. A
    smaller limit gives a prefix of what a larger one gives. `hint` ends the message of the `DataError` that says that
    there are too few examples or clusters.
    """
    require_enough(examples, source, hint)
    rest, test = _divide(examples, source, "eval_fraction", hint)
    return evaluated(rest, test, source, hint)


def evaluated(
    rest: Sequence[Example], test: Sequence[Example], source: Source, hint: str = ""
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return (train, eval) as `evaluate_on` says, each cut to its limit.

    Under `test` all the rest is trained on. Under `validation` a part of the rest takes the place of the test part,
    which is seen by nobody: settings can be chosen by it without a look at the test.
    """
    train, held_out = rest, test
    if source.evaluate_on == "validation":
        train, held_out = _divide(rest, source, "validation_fraction", hint)
    return cut(train, source.limit, "limit"), cut(held_out, source.eval_limit, "eval_limit")


def _divide(examples: Sequence[Example], source: Source, key: str, hint: str) -> tuple[list[Example], list[Example]]:
    """Return (the rest, a part of about the share that the key says), each in shuffled order of its clusters."""
    fraction = float(getattr(source, key))
    if not 0 < fraction < 1:
        raise ConfigError(f"dataset.{key}={fraction} must lie between 0 and 1.")
    clusters = shuffled_clusters(examples, source.split_seed)
    if len(clusters) < 2:
        whose = "All" if key == "eval_fraction" else "Outside the test part all"
        raise DataError(
            f"{whose} {len(examples)} examples come from one scene or dialogue ({examples[0].cluster}), and a split in "
            f"train and {'eval' if key == 'eval_fraction' else 'validation'} needs at least 2.{_spaced(hint)}"
        )
    chosen = _held_out_clusters({name: len(members) for name, members in clusters.items()}, fraction)
    rest = [example for name, members in clusters.items() if name not in chosen for example in members]
    return rest, [example for name, members in clusters.items() if name in chosen for example in members]


def require_enough(examples: Sequence[Example], source: Source, hint: str = "") -> None:
    """Raise `DataError` if there are fewer than `min_examples`."""
    if len(examples) < source.min_examples:
        raise DataError(
            f"Only {counted(len(examples), 'example')} found and {source.min_examples} needed "
            f"(dataset.min_examples).{_spaced(hint)}"
        )


def shuffled_clusters(examples: Iterable[Example], seed: int) -> dict[str, list[Example]]:
    """Group examples by cluster: clusters in an order that depends on the seed and their names, members by id."""
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
    """Take clusters in order as long as each brings the number of examples nearer to the target."""
    target = fraction * sum(sizes.values())
    chosen: set[str] = set()
    count = 0
    for name, size in sizes.items():
        if len(chosen) < len(sizes) - 1 and abs(count + size - target) < abs(count - target):
            chosen.add(name)
            count += size
    return chosen or {min(sizes, key=lambda name: sizes[name])}


def _natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """Sort key by which speech-9 comes before speech-12."""
    pieces = re.split(r"([0-9]+)", text)
    return [(int(piece) if place % 2 else 0, piece) for place, piece in enumerate(pieces)], text


def _spaced(hint: str) -> str:
    return f" {hint}" if hint else ""
