"""A packed tree holds every sequence, each shared prefix once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.data.packing import TokenSequence, pack

token_lists = st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=12), min_size=1, max_size=12)


def as_sequences(lists: list[list[int]]) -> list[TokenSequence]:
    return [TokenSequence(tuple(tokens), 1 + len(tokens) // 2, index) for index, tokens in enumerate(lists)]


@given(token_lists)
def test_paths_spell_the_sequences_and_every_prefix_has_one_node(lists: list[list[int]]) -> None:
    sequences = as_sequences(lists)
    (row,) = pack(sequences, 10_000)
    prefixes = {s.tokens[:end] for s in sequences for end in range(1, len(s.tokens))}
    assert len(row) == len(prefixes)
    for sequence in sequences:
        path = row.paths[sequence.index]
        assert tuple(row.tokens[path]) == sequence.tokens[:-1]
        assert list(row.positions[path]) == list(range(len(path)))


@given(token_lists)
def test_labels_ask_for_each_token_under_loss_at_the_node_before_it(lists: list[list[int]]) -> None:
    sequences = as_sequences(lists)
    (row,) = pack(sequences, 10_000)
    asked = sorted(zip(row.label_examples, row.label_nodes, row.label_tokens, strict=True))
    expected = sorted(
        (s.index, row.paths[s.index][place - 1], s.tokens[place])
        for s in sequences
        for place in range(s.loss_from, len(s.tokens))
    )
    assert asked == expected


@given(token_lists, st.integers(1, 20))
def test_branches_cover_the_nodes_once_and_rows_keep_to_the_limit(lists: list[list[int]], limit: int) -> None:
    rows = pack(as_sequences(lists), limit)
    assert sorted(index for row in rows for index in row.paths) == list(range(len(lists)))
    for row in rows:
        assert [node for branch in row.branches for node in branch.own] == list(range(len(row)))
        assert len(row) <= limit or len(row.branches) == 1


@given(token_lists)
def test_a_node_has_the_same_key_in_any_row(lists: list[list[int]]) -> None:
    sequences = as_sequences(lists)
    (together,) = pack(sequences, 10_000)
    for sequence in sequences:
        (alone,) = pack([sequence], 10_000)
        assert list(together.keys[together.paths[sequence.index]]) == list(alone.keys)
