"""The order in which a trial sees its examples: a fresh permutation each epoch, from the trial's own generator."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from persona_sweeps.seeds import derive_seed


def batches(lengths: Sequence[int], batch_size: int, seed: int, steps: int | None = None) -> Iterator[list[int]]:
    """Yield batches of example indices without end; the last batch of an epoch may be smaller.

    `lengths` are the examples' tokens. In the first epoch the batch with the most tokens changes places with the
    first, so that one that doesn't fit into memory shows at the first step. Where only `steps` batches are to be
    taken, it is the longest of those: none comes in that would have stayed out.
    """
    for epoch in itertools.count():
        order = np.random.default_rng(derive_seed(seed, "order", epoch)).permutation(len(lengths)).tolist()
        found = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        if epoch == 0:
            _longest_first(found, lengths, steps)
        yield from found


def _longest_first(found: list[list[int]], lengths: Sequence[int], steps: int | None) -> None:
    tokens = [sum(lengths[index] for index in batch) for batch in found[:steps]]
    if tokens:
        longest = tokens.index(max(tokens))
        found[0], found[longest] = found[longest], found[0]


def steps_per_epoch(examples: int, batch_size: int) -> int:
    return -(-examples // batch_size)


def total_steps(examples: int, batch_size: int, epochs: float, max_steps: int | None) -> int:
    """Return the optimizer steps of a trial: `max_steps` where set, else `epochs` (which may be a fraction)."""
    if max_steps is not None:
        return max_steps
    return max(1, round(epochs * steps_per_epoch(examples, batch_size)))
