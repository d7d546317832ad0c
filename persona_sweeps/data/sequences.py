"""Prepared data as the engine reads them: token sequences, with long examples cut into windows.

Training reads each window as an example of its own. Evaluation scores each token once: a window scores what the windows
before it haven't, and the rest of it is context (the sliding window of Baevski & Auli 2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np

from persona_sweeps.data.packing import IntArray, TokenSequence
from persona_sweeps.data.windows import Windows

if TYPE_CHECKING:
    from datasets import Dataset

    from persona_sweeps.data.store import PreparedData


class Units(Sequence[range]):
    """What a batch counts, as ranges of neighbouring sequences."""

    def __init__(self, starts: IntArray, end: int) -> None:
        self._bounds = np.append(starts, end)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, index: int) -> range: ...
    @overload
    def __getitem__(self, index: slice) -> list[range]: ...
    def __getitem__(self, index: int | slice) -> range | list[range]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        begin, end = self._bounds[index % len(self) :][:2].tolist()
        return range(begin, end)

    def sums(self, values: IntArray) -> IntArray:
        """Return the sum of the sequences' values in each unit."""
        return np.add.reduceat(values, self._bounds[:-1])


class TrainingSequences(Sequence[TokenSequence]):
    """The training sequences of prepared data, read from the disk when they are asked for.

    A sequence takes a few bytes in memory, so that there may be very many. `units` are what a batch counts: a window,
    or an example, or the turns of one dialogue, which stay together so that their context is computed once.
    """

    def __init__(self, prepared: PreparedData) -> None:
        self._rows = prepared.train
        lengths = token_lengths(self._rows)
        if prepared.windows is None:
            self._spans = np.column_stack([np.arange(len(lengths)), np.zeros_like(lengths), lengths])
        else:
            spans = _with_loss(lengths, self._rows["loss_from"], prepared.windows)
            self._spans = np.asarray(list(spans), dtype=np.int64).reshape(-1, 3)
        """[N, 3] row, begin and end of each sequence"""
        self.lengths: IntArray = self._spans[:, 2] - self._spans[:, 1]
        """[N] tokens of each sequence"""
        self.units = Units(_unit_starts(self._rows, self._spans[:, 0]), len(self._spans))

    def __len__(self) -> int:
        return len(self._spans)

    @overload
    def __getitem__(self, index: int) -> TokenSequence: ...
    @overload
    def __getitem__(self, index: slice) -> list[TokenSequence]: ...
    def __getitem__(self, index: int | slice) -> TokenSequence | list[TokenSequence]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        row, begin, end = self._spans[index].tolist()
        example = self._rows[row]
        return TokenSequence(tuple(example["input_ids"][begin:end]), max(1, example["loss_from"] - begin), int(index))


def evaluation_sequences(rows: Dataset, windows: Windows | None, all_tokens: bool = False) -> list[TokenSequence]:
    """Return the sequences that score examples, whose `index` is that of the example; their NLLs add up.

    The loss is on the completion, whatever loss training has, or on every token except the first.
    """
    found = []
    for index, (ids, prompt) in enumerate(zip(rows["input_ids"], rows["prompt_length"], strict=True)):
        scored = 1 if all_tokens else max(1, prompt)
        for begin, end in windows.spans(len(ids)) if windows is not None else [(0, len(ids))]:
            if scored < end:
                found.append(TokenSequence(tuple(ids[begin:end]), max(1, scored - begin), index))
                scored = end
    return found


def labels_of(sequences: Iterable[TokenSequence], examples: int) -> list[int]:
    """Return how many tokens of each example are scored."""
    counts = [0] * examples
    for sequence in sequences:
        counts[sequence.index] += sequence.labels
    return counts


def _with_loss(lengths: IntArray, loss_from: Sequence[int], windows: Windows) -> Iterator[tuple[int, int, int]]:
    """Yield the windows of each example, except those inside its prompt, which have nothing to learn."""
    for row, length in enumerate(lengths.tolist()):
        for begin, end in windows.spans(length):
            if max(begin + 1, loss_from[row]) < end:
                yield row, begin, end


def token_lengths(rows: Dataset) -> IntArray:
    """Return the number of tokens of each example, from the offsets of the column."""
    import pyarrow.compute as pc

    if rows._indices is not None:
        return np.asarray([len(ids) for ids in rows["input_ids"]], dtype=np.int64)
    column = rows.data.column("input_ids")
    return np.asarray(pc.list_value_length(column).to_numpy(), dtype=np.int64)


def _unit_starts(rows: Dataset, row_of: IntArray) -> IntArray:
    """Return the first sequence of each unit: neighbours of one dialogue are one, windows and other examples alone."""
    if rows.data.column("dialogue").null_count == len(rows):
        return np.arange(len(row_of))
    names = np.asarray(rows["dialogue"], dtype=object)[row_of]
    alone = np.asarray([name is None for name in names])
    return np.flatnonzero(np.append(True, (names[1:] != names[:-1]) | alone[1:]))
