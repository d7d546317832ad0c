"""Splits: whole clusters, by the seed alone, about the share that was asked for."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.data.example import Example
from persona_sweeps.data.source import Source
from persona_sweeps.data.splits import given_parts, split_examples
from persona_sweeps.errors import ConfigError, DataError

sizes = st.lists(st.integers(1, 40), min_size=2, max_size=25)


def source(**changes: object) -> Source:
    defaults: dict[str, object] = dict(eval_fraction=0.2, split_seed=0, min_examples=2, loss_on="completion")
    return Source(**{**defaults, **changes})  # type: ignore[arg-type]


def examples_of(cluster_sizes: list[int]) -> list[Example]:
    return [
        Example(f"c{cluster}/speech-{place}", "p", "c", f"c{cluster}")
        for cluster, size in enumerate(cluster_sizes)
        for place in range(1, size + 1)
    ]


def ids(examples: tuple[Example, ...]) -> list[str]:
    return [example.id for example in examples]


@given(sizes, st.integers(0, 5), st.floats(0.05, 0.95))
def test_sides_partition_the_examples_by_whole_clusters(cluster_sizes: list[int], seed: int, fraction: float) -> None:
    examples = examples_of(cluster_sizes)
    train, held_out, *_ = split_examples(examples, source(split_seed=seed, eval_fraction=fraction))
    assert train and held_out
    assert sorted(ids(train) + ids(held_out)) == sorted(example.id for example in examples)
    assert not {example.cluster for example in train} & {example.cluster for example in held_out}
    assert abs(len(held_out) - fraction * len(examples)) <= max(cluster_sizes)


@given(sizes, st.randoms(use_true_random=False))
def test_the_order_of_the_examples_changes_nothing(cluster_sizes: list[int], order: random.Random) -> None:
    examples = examples_of(cluster_sizes)
    shuffled = order.sample(examples, len(examples))
    limited = source(limit=5, eval_limit=3)
    assert split_examples(examples, limited) == split_examples(shuffled, limited)


@given(sizes, st.integers(1, 50), st.integers(1, 50))
def test_a_smaller_limit_gives_a_prefix(cluster_sizes: list[int], one: int, other: int) -> None:
    examples = examples_of(cluster_sizes)
    small, large = sorted((one, other))
    first = split_examples(examples, source(limit=small, eval_limit=small))
    second = split_examples(examples, source(limit=large, eval_limit=large))
    for less, more in zip(first[:3], second[:3], strict=True):
        assert list(less) == list(more)[: len(less)]
        assert len(less) == min(small, len(more))


def test_scenes_stay_in_their_order_and_together() -> None:
    train, *_ = split_examples(examples_of([12] * 8), source())
    assert [name.split("-")[1] for name in ids(train)] == [str(place) for place in range(1, 13)] * (len(train) // 12)


def test_another_seed_gives_another_split() -> None:
    examples = examples_of([3] * 30)
    assert len({tuple(ids(split_examples(examples, source(split_seed=seed))[1])) for seed in range(10)}) > 5


@pytest.mark.parametrize(
    ("cluster_sizes", "message"),
    [([3], "Only 3 examples found, but 8 are needed"), ([9], "one scene or dialogue"), ([1], "Only 1 example found")],
)
def test_too_little_says_how_much_there_is_and_ends_with_the_hint(cluster_sizes: list[int], message: str) -> None:
    with pytest.raises(DataError, match=f"{message}.*Try Iago"):
        split_examples(examples_of(cluster_sizes), source(min_examples=8), hint="Try Iago.")


@pytest.mark.parametrize("change", [{"eval_fraction": 0.0}, {"eval_fraction": 1.0}, {"limit": 0}, {"eval_limit": -1}])
def test_values_out_of_range_are_named(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"dataset.{next(iter(change))}="):
        split_examples(examples_of([5, 5]), source(**change))


@given(sizes.filter(lambda counts: len(counts) > 2), st.integers(0, 5))
def test_a_validation_part_is_cut_from_what_isn_t_test_and_leaves_the_test_part_alone(
    cluster_sizes: list[int], seed: int
) -> None:
    examples = examples_of(cluster_sizes)
    rest, test, *_ = split_examples(examples, source(split_seed=seed, evaluate_on="test", validation_fraction=0.3))
    if len({example.cluster for example in rest}) < 2:
        return
    train, validation, *_ = split_examples(
        examples, source(split_seed=seed, evaluate_on="validation", validation_fraction=0.3)
    )
    assert train and validation and sorted(ids(train) + ids(validation)) == sorted(ids(rest))
    parts = [{example.cluster for example in part} for part in (train, validation, test)]
    assert sum(map(len, parts)) == len(set().union(*parts)), "no cluster stands in two parts"


def test_too_few_clusters_for_a_validation_part_are_told() -> None:
    settings = source(evaluate_on="validation", validation_fraction=0.5, eval_fraction=0.5)
    with pytest.raises(DataError, match="Outside the test part all 4 examples come from one scene.*validation"):
        split_examples(examples_of([4, 4]), settings)


@given(sizes.filter(lambda counts: len(counts) > 2), st.integers(0, 5))
def test_what_is_monitored_is_cut_from_the_rest_and_the_test_part_stays(cluster_sizes: list[int], seed: int) -> None:
    examples = examples_of(cluster_sizes)
    settings = source(split_seed=seed, validation_fraction=0.3)
    rest, test, nothing, *_ = split_examples(examples, settings)
    assert not nothing
    if len({example.cluster for example in rest}) < 2:
        return
    monitored = split_examples(examples, settings, monitored=True)
    assert monitored.eval == test and monitored.train and monitored.validation
    assert sorted(ids(monitored.train) + ids(monitored.validation)) == sorted(ids(rest))
    chosen = split_examples(examples, source(split_seed=seed, validation_fraction=0.3, evaluate_on="validation"))
    assert monitored.validation == chosen.eval and monitored.train == chosen.train


@given(sizes, st.integers(1, 9), st.integers(1, 30))
def test_a_cap_for_each_cluster_spreads_a_limit_over_the_clusters(
    cluster_sizes: list[int], cap: int, limit: int
) -> None:
    examples = examples_of(cluster_sizes)
    whole = split_examples(examples, source()).eval
    capped = split_examples(examples, source(eval_per_cluster=cap, eval_limit=limit)).eval
    counts = Counter(example.cluster for example in whole)
    assert max(Counter(example.cluster for example in capped).values()) <= cap
    assert len(capped) == min(limit, sum(min(cap, count) for count in counts.values()))


def test_a_split_of_the_data_s_own_is_refused_where_a_cluster_is_on_both_sides() -> None:
    train, held_out = examples_of([4, 4, 4])[:8], examples_of([4, 4, 4])[6:]
    with pytest.raises(DataError, match="1 cluster in both.*c1"):
        given_parts(train, held_out, source())


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 9)), min_size=12, max_size=40), st.integers(0, 5))
def test_each_character_has_about_its_share_in_both_parts(scenes: list[tuple[str, int]], seed: int) -> None:
    examples = [
        Example(f"c{cluster}/{place}", "p", "c", f"c{cluster}", persona)
        for cluster, (persona, size) in enumerate(scenes)
        for place in range(size)
    ]
    held_out = split_examples(examples, source(split_seed=seed, eval_fraction=0.25)).eval
    for persona in {name for name, _ in scenes}:
        share = sum(size for name, size in scenes if name == persona) * 0.25
        largest = max(size for name, size in scenes if name == persona)
        assert abs(sum(example.persona == persona for example in held_out) - share) <= largest


@pytest.mark.parametrize(
    ("changes", "notes"),
    [({"eval_limit": 12}, 1), ({"eval_limit": 12, "eval_per_cluster": 2}, 0), ({}, 0), ({"eval_limit": 100}, 0)],
)
def test_a_limit_that_leaves_few_clusters_is_mentioned(changes: dict[str, int], notes: int) -> None:
    parts = split_examples(examples_of([12] * 40), source(eval_fraction=0.5, **changes))
    assert len(parts.notes) == notes
    if notes:
        assert parts.notes[0].startswith("dataset.eval_limit=12 takes items of 1 of the 20 scenes")
        assert "dataset.eval_per_cluster=1 spreads them" in parts.notes[0]


@pytest.mark.parametrize(
    ("changes", "key"), [({}, "eval_fraction"), ({"evaluate_on": "validation"}, "validation_fraction")]
)
def test_too_few_scenes_for_intervals_are_mentioned(changes: dict[str, str], key: str) -> None:
    (note,) = split_examples(examples_of([4] * 20), source(**{"eval_fraction": 0.25, key: 0.25}, **changes)).notes
    assert "fewer than 6, so tables will give no intervals" in note and f"a larger dataset.{key} holds" in note
    assert not split_examples(examples_of([4] * 24), source(eval_fraction=0.25)).notes
