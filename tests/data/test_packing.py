"""Packing is a matter of layout alone: what it is given comes back, in any order, whatever the room in a row."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.data.packing import PackedRow, TokenSequence, pack, shared_length

# Few different tokens, virtual ones among them, so that much is shared; lengths from a token and its label.
tokens = st.lists(st.integers(-2, 2), min_size=2, max_size=10).map(tuple)


@st.composite
def examples(draw: st.DrawFn) -> list[TokenSequence]:
    found = []
    for index, drawn in enumerate(draw(st.lists(tokens, min_size=1, max_size=10))):
        found.append(TokenSequence(drawn, draw(st.integers(1, len(drawn) - 1)), index))
    return draw(st.permutations(found))


limits = st.integers(1, 25)


def labels(row: PackedRow) -> list[tuple[int, int, int]]:
    return list(zip(row.label_examples.tolist(), row.label_nodes.tolist(), row.label_tokens.tolist(), strict=True))


def prefixes(sequences: list[TokenSequence]) -> set[tuple[int, ...]]:
    return {s.tokens[:end] for s in sequences for end in range(1, len(s.tokens))}


@given(examples(), limits)
def test_every_sequence_is_in_one_row_where_its_path_and_labels_spell_it(
    sequences: list[TokenSequence], limit: int
) -> None:
    rows = pack(sequences, limit)
    assert sorted(index for row in rows for index, _ in row.paths) == sorted(s.index for s in sequences)
    by_index = {s.index: s for s in sequences}
    for row in rows:
        for index, path in row.paths:
            sequence = by_index[index]
            assert tuple(row.tokens[path].tolist()) == sequence.tokens[:-1]
            assert row.positions[path].tolist() == list(range(len(path)))
            own = [(node, token) for example, node, token in labels(row) if example == index]
            targets = range(sequence.loss_from, len(sequence.tokens))
            assert own == [(path[place - 1], sequence.tokens[place]) for place in targets]
        assert len(labels(row)) == sum(len(by_index[i].tokens) - by_index[i].loss_from for i, _ in row.paths)


@given(examples(), limits)
def test_a_row_has_one_node_for_each_prefix_and_keeps_to_the_limit_where_it_can(
    sequences: list[TokenSequence], limit: int
) -> None:
    by_index = {s.index: s for s in sequences}
    for row in pack(sequences, limit):
        inside = [by_index[index] for index, _ in row.paths]
        assert len(row) == len(prefixes(inside))
        assert len(row) <= limit or len(inside) == 1


@given(examples())
def test_with_room_for_all_there_is_one_row(sequences: list[TokenSequence]) -> None:
    (row,) = pack(sequences, len(prefixes(sequences)))
    assert len(row) == len(prefixes(sequences))


@given(examples(), limits)
def test_branches_cover_the_nodes_once_and_continue_what_an_earlier_one_began(
    sequences: list[TokenSequence], limit: int
) -> None:
    for row in pack(sequences, limit):
        assert [node for branch in row.branches for node in branch.added.tolist()] == list(range(len(row)))
        seen: set[tuple[int, ...]] = {()}
        for branch in row.branches:
            path = tuple(branch.path.tolist())
            assert path[: branch.shared] in seen and len(branch) == len(path) - branch.shared > 0
            assert row.positions[branch.added].tolist() == list(range(branch.shared, len(path)))
            seen |= {path[:end] for end in range(len(path) + 1)}


@given(examples(), limits, st.data())
def test_the_order_of_the_examples_changes_no_tree(
    sequences: list[TokenSequence], limit: int, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(sequences))
    for one, other in zip(pack(sequences, limit), pack(shuffled, limit), strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        assert one.positions.tolist() == other.positions.tolist()
        assert one.keys.tolist() == other.keys.tolist()


@given(examples(), limits)
def test_keys_name_prefixes(sequences: list[TokenSequence], limit: int) -> None:
    named: dict[tuple[int, ...], set[int]] = {}
    for row in pack(sequences, limit):
        for _, path in row.paths:
            for end in range(1, len(path) + 1):
                prefix = tuple(row.tokens[path[:end]].tolist())
                named.setdefault(prefix, set()).add(int(row.keys[path[end - 1]]))
    assert all(len(keys) == 1 for keys in named.values())
    assert len({key for keys in named.values() for key in keys}) == len(named)


@given(tokens, tokens)
def test_shared_length_is_that_of_the_common_prefix(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    assert shared_length(a, b) == shared_length(b, a) == len(os.path.commonprefix([a, b]))


def test_a_card_longer_than_a_row_and_no_examples_at_all() -> None:
    long = TokenSequence(tuple(range(50)), 40, 0)
    short = TokenSequence((*range(3), 7), 2, 1)
    assert [set(dict(row.paths)) for row in pack([long, short], 10)] == [{0}, {1}]
    assert pack([], 10) == []
