"""Shared-prefix packing: sequences that begin with the same tokens share one copy of them, as a tree in one row.

A row holds the tree's nodes in depth-first order; each node takes one token slot. A node attends to its ancestors and
itself only, and its position is its depth. So each node sees exactly what it would see in a padded batch of separate
sequences: loss and gradients are equal, and shared tokens are computed once. A row is a run of branches: each sequence
adds the nodes that no earlier one has, and attends to its path from the root.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

_KEY_MULTIPLIER = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """The tokens of one example or window, and the index of the first token under loss (`loss_from` ≥ 1).

    A negative token -1-v is virtual token v of a soft prompt. `index` is that of the example; the windows of one
    example share it, so that their losses add up.
    """

    tokens: tuple[int, ...]
    loss_from: int
    index: int = 0

    @property
    def labels(self) -> int:
        """The number of its tokens under loss."""
        return len(self.tokens) - self.loss_from

    def under_loss_from(self, loss_from: int) -> TokenSequence:
        """Return the same tokens with those from `loss_from` on under loss; 1: all tokens except the first."""
        return TokenSequence(self.tokens, loss_from, self.index)


@dataclass(frozen=True, slots=True)
class Branch:
    """The consecutive nodes that one sequence adds to a tree, and its path from the root to its leaf."""

    path: IntArray
    shared: int
    """how many nodes of the path an earlier branch has already"""

    def __len__(self) -> int:
        return len(self.path) - self.shared

    @property
    def added(self) -> IntArray:
        """The nodes that this branch adds."""
        return self.path[self.shared :]


@dataclass(frozen=True, slots=True)
class PackedRow:
    """A tree of sequences; L nodes, N labels.

    The label arrays say at which node the model must predict which token, and for which example. Where the paths of two
    examples part, one node has several labels.
    """

    tokens: IntArray
    """[L] token of each node"""
    positions: IntArray
    """[L] depth of each node, counted from 0"""
    keys: NDArray[np.uint64]
    """[L] hash of the tokens from the root to each node; the same path has the same key in any row"""
    branches: tuple[Branch, ...]
    """in the order of their nodes; each node is added by one branch"""
    label_nodes: IntArray
    """[N]"""
    label_tokens: IntArray
    """[N]"""
    label_examples: IntArray
    """[N]"""
    paths: tuple[tuple[int, IntArray], ...]
    """the index of each sequence, and the nodes from the root to its leaf"""

    def __len__(self) -> int:
        return len(self.tokens)


def pack(sequences: Iterable[TokenSequence], max_nodes: int) -> list[PackedRow]:
    """Pack sequences, in lexicographic order, into rows of at most `max_nodes` nodes that share prefixes.

    In this order, the longest prefix that a sequence shares with any earlier one is the one shared with its
    predecessor, so one comparison finds it. A sequence longer than `max_nodes` gets its own row. The last token of a
    sequence is only predicted, so it has no node.
    """
    rows: list[PackedRow] = []
    current: list[TokenSequence] = []
    size = 0
    for sequence in sorted(sequences, key=lambda s: s.tokens):
        new = _inputs(sequence)
        if current:
            new -= shared_length(current[-1].tokens[:-1], sequence.tokens[:-1])
        if current and size + new > max_nodes:
            rows.append(_tree(current))
            current, size, new = [], 0, _inputs(sequence)
        current.append(sequence)
        size += new
    if current:
        rows.append(_tree(current))
    return rows


def shared_length(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Return the length of two sequences' common prefix."""
    shortest = min(len(a), len(b))
    if a[:shortest] == b[:shortest]:
        return shortest
    low, high = 0, shortest  # a[:low] is shared, a[:high] is not
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _inputs(sequence: TokenSequence) -> int:
    return len(sequence.tokens) - 1


def _tree(sequences: list[TokenSequence]) -> PackedRow:
    """Return one tree of lexicographically sorted sequences."""
    length = 0
    path: IntArray = np.zeros(0, dtype=np.int64)
    previous: tuple[int, ...] = ()
    paths: list[tuple[int, IntArray]] = []
    branches: list[Branch] = []
    tokens: list[int] = []
    for sequence in sequences:
        inputs = sequence.tokens[:-1]
        shared = shared_length(previous, inputs)
        new = np.arange(length, length + len(inputs) - shared, dtype=np.int64)
        path = np.concatenate([path[:shared], new])
        paths.append((sequence.index, path))
        if len(new):
            branches.append(Branch(path, shared))
        tokens.extend(inputs[shared:])
        length += len(new)
        previous = inputs
    labels = [_labels(sequence, path) for sequence, (_, path) in zip(sequences, paths, strict=True)]
    nodes, targets, examples = (np.concatenate(column) for column in zip(*labels, strict=True))
    return PackedRow(
        tokens=np.asarray(tokens, dtype=np.int64),
        positions=np.concatenate([np.arange(branch.shared, len(branch.path)) for branch in branches]),
        keys=_node_keys(tokens, branches),
        branches=tuple(branches),
        label_nodes=nodes,
        label_tokens=targets,
        label_examples=examples,
        paths=tuple(paths),
    )


def _labels(sequence: TokenSequence, path: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    targets = np.asarray(sequence.tokens[sequence.loss_from :], dtype=np.int64)
    return path[sequence.loss_from - 1 :], targets, np.full(len(targets), sequence.index, dtype=np.int64)


def _node_keys(tokens: list[int], branches: Iterable[Branch]) -> NDArray[np.uint64]:
    """Hash the tokens from the root to each node (a polynomial hash modulo 2**64, with a xor-shift a token)."""
    keys = [0] * len(tokens)
    for branch in branches:
        key = keys[branch.path[branch.shared - 1]] if branch.shared else 1
        for node in branch.added.tolist():
            key = (key * _KEY_MULTIPLIER + tokens[node] + 0x51ED) & _WORD
            key ^= key >> 29
            keys[node] = key
    return np.asarray(keys, dtype=np.uint64)
