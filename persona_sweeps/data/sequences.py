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


class TrainingSequences(Sequence[TokenSequence]):
    """The training sequences of prepared data, read from the disk when they are asked for.

    `units` are what a batch counts, as ranges of indices: a window, or an example, or the turns of one dialogue, which
    stay together so that their context is computed once.
    """

    def __init__(self, prepared: PreparedData) -> None:
        self._rows = prepared.train
        lengths = _lengths(self._rows)
        spans: Iterable[tuple[int, int, int]] = ((row, 0, length) for row, length in enumerate(lengths.tolist()))
        if prepared.windows is not None:
            spans = _with_loss(spans, self._rows["loss_from"], prepared.windows)
        self._spans = np.asarray(list(spans), dtype=np.int64).reshape(-1, 3)
        self.lengths: IntArray = self._spans[:, 2] - self._spans[:, 1]
        """[N] tokens of each sequence"""
        self.units = _units(self._rows, self._spans[:, 0])

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


def _with_loss(
    examples: Iterable[tuple[int, int, int]], loss_from: Sequence[int], windows: Windows
) -> Iterator[tuple[int, int, int]]:
    """Yield the windows of each example, except those inside its prompt, which have nothing to learn."""
    for row, _, length in examples:
        for begin, end in windows.spans(length):
            if max(begin + 1, loss_from[row]) < end:
                yield row, begin, end


def _lengths(rows: Dataset) -> IntArray:
    """Return the number of tokens of each example, from the offsets of the column."""
    import pyarrow.compute as pc

    if rows._indices is not None:
        return np.asarray([len(ids) for ids in rows["input_ids"]], dtype=np.int64)
    column = rows.data.column("input_ids")
    return np.asarray(pc.list_value_length(column).to_numpy(), dtype=np.int64)


def _units(rows: Dataset, row_of: IntArray) -> list[range]:
    """Group neighbouring sequences of one dialogue; windows and other examples are alone."""
    dialogues = rows["dialogue"] if rows.data.column("dialogue").null_count < len(rows) else None
    if dialogues is None:
        return [range(index, index + 1) for index in range(len(row_of))]
    names = [dialogues[row] for row in row_of.tolist()]
    units: list[range] = []
    for index, name in enumerate(names):
        if units and name is not None and names[units[-1].start] == name:
            units[-1] = range(units[-1].start, index + 1)
        else:
            units.append(range(index, index + 1))
    return units
