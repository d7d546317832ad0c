"""Windows: how examples longer than `train.max_length` are read with `dataset.too_long=windows`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Windows(NamedTuple):
    """How examples that are too long are read."""

    length: int
    """most tokens of a window"""
    stride: int
    """tokens from the beginning of a window to that of the next"""

    def spans(self, tokens: int) -> Iterator[tuple[int, int]]:
        """Yield (begin, end) of each window of so many tokens; the last one ends with them."""
        begin = 0
        while True:
            end = min(begin + self.length, tokens)
            yield begin, end
            if end == tokens:
                return
            begin += self.stride
