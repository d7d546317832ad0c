"""The order of examples belongs to a trial's seed, and to nothing else."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.training.order import batches, steps_per_epoch, total_steps

sizes = st.integers(1, 40)
lengths_of_examples = st.lists(st.integers(1, 30), min_size=1, max_size=40)


def equal(examples: int) -> list[int]:
    """Examples of one length."""
    return [1] * examples


@given(sizes, st.integers(1, 50), st.integers(0, 9))
def test_every_epoch_is_a_permutation_in_full_batches_but_the_last(examples: int, size: int, seed: int) -> None:
    steps = steps_per_epoch(examples, size)
    order = batches(equal(examples), size, seed)
    for _ in range(3):
        epoch = list(islice(order, steps))
        assert sorted(index for batch in epoch for index in batch) == list(range(examples))
        assert all(len(batch) == size for batch in epoch[:-1]) and 0 < len(epoch[-1]) <= size


@given(lengths_of_examples, st.integers(1, 50), st.integers(0, 9), st.integers(1, 50))
def test_the_longest_of_the_batches_to_come_is_first_and_the_rest_stay(
    lengths: list[int], size: int, seed: int, steps: int
) -> None:
    per_epoch = steps_per_epoch(len(lengths), size)
    taken = min(steps, per_epoch)
    plain = list(islice(batches(equal(len(lengths)), size, seed), 3 * per_epoch))
    ours = list(islice(batches(lengths, size, seed, steps), 3 * per_epoch))

    def tokens(batch: list[int]) -> int:
        return sum(lengths[index] for index in batch)

    assert tokens(ours[0]) == max(map(tokens, plain[:taken]))
    moved = [index for index, (one, other) in enumerate(zip(ours, plain, strict=True)) if one != other]
    assert moved in ([], [0, plain.index(ours[0])]) and all(index < taken for index in moved)
    assert sorted(ours[:taken]) == sorted(plain[:taken])


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 9))
def test_a_trial_sees_the_same_order_whatever_is_drawn_for_another(turns: list[bool], seed: int) -> None:
    ours, other = batches(range(7), 2, seed), batches(range(11), 3, seed + 1)
    seen = []
    for is_ours in turns:
        if is_ours:
            seen.append(next(ours))
        else:
            next(other)
    assert seen == list(islice(batches(range(7), 2, seed), len(seen)))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first, second = ([*islice(batches(equal(30), 30, seed), 2)] for seed in (0, 1))
    assert len({tuple(order) for order in (*first, *second)}) == 4


@given(sizes, sizes)
def test_the_order_within_an_epoch_does_not_depend_on_the_batch_size(size: int, other: int) -> None:
    one, two = (
        [index for batch in islice(batches(equal(40), count, 3), steps_per_epoch(40, count)) for index in batch]
        for count in (size, other)
    )
    assert one == two


@given(sizes, sizes, st.floats(0.01, 5))
def test_steps_are_the_epochs_asked_for_at_least_one(examples: int, size: int, epochs: float) -> None:
    steps = total_steps(examples, size, epochs, None)
    assert steps >= 1
    assert abs(steps - epochs * steps_per_epoch(examples, size)) <= 0.5 or steps == 1
    assert total_steps(examples, size, epochs, 17) == 17
