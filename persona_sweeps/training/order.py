"""The order in which a trial sees its examples: a fresh permutation each epoch, from the trial's own generator."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from persona_sweeps.seeds import derive_seed


def batches(examples: int, batch_size: int, seed: int) -> Iterator[list[int]]:
    """Yield batches of example indices without end; the last batch of an epoch may be smaller."""
    epoch = 0
    while True:
        order = np.random.default_rng(derive_seed(seed, "order", epoch)).permutation(examples).tolist()
        for start in range(0, examples, batch_size):
            yield order[start : start + batch_size]
        epoch += 1


def steps_per_epoch(examples: int, batch_size: int) -> int:
    return -(-examples // batch_size)


def total_steps(examples: int, batch_size: int, epochs: float, max_steps: int | None) -> int:
    """Return the optimizer steps of a trial: `max_steps` where set, else `epochs` (which may be a fraction)."""
    if max_steps is not None:
        return max_steps
    return max(1, round(epochs * steps_per_epoch(examples, batch_size)))
