"""The order in which a trial sees its examples: a fresh permutation each epoch, from the trial's own generator."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from persona_sweeps.seeds import derive_seed


def batches(lengths: Sequence[int], batch_size: int, seed: int, steps: int | None = None) -> Iterator[list[int]]:
    """Yield batches of example indices without end; the last batch of an epoch may be smaller.

    `lengths` are the examples' numbers of tokens. In the first epoch the batch with the most tokens is swapped with the
    first one, so that a lack of memory shows at the first step. If only `steps` batches will be used, it is the longest
    of these, so that the swap brings in no other example.
    """
    for epoch in itertools.count():
        order = np.random.default_rng(derive_seed(seed, "order", epoch)).permutation(len(lengths)).tolist()
        epoch_batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        if epoch == 0:
            _longest_first(epoch_batches, lengths, steps)
        yield from epoch_batches


def _longest_first(epoch_batches: list[list[int]], lengths: Sequence[int], steps: int | None) -> None:
    """Swap the first batch with the one that has the most tokens, in place."""
    tokens = [sum(lengths[index] for index in batch) for batch in epoch_batches[:steps]]
    if tokens:
        longest = tokens.index(max(tokens))
        epoch_batches[0], epoch_batches[longest] = epoch_batches[longest], epoch_batches[0]


def steps_per_epoch(examples: int, batch_size: int) -> int:
    return -(-examples // batch_size)


def total_steps(examples: int, batch_size: int, epochs: float, max_steps: int | None) -> int:
    """Return the optimizer steps of a trial: `max_steps` if set, or else those of `epochs` (may be a fraction)."""
    if max_steps is not None:
        return max_steps
    return max(1, round(epochs * steps_per_epoch(examples, batch_size)))
