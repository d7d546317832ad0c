"""Where a generated text ends: at a stop token, or at one of the texts of `generation.stop`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Decode: TypeAlias = Callable[[Sequence[int]], str]
"""returns the text of tokens"""


def no_text(tokens: Sequence[int]) -> str:
    """Return nothing: without stop texts, no text needs to be looked at."""
    return ""


MARGIN = 8
"""tokens that may hold no whole character of a text"""


@dataclass(frozen=True, slots=True)
class Ending:
    """The stop tokens, and the texts at which a completion ends."""

    tokens: frozenset[int]
    texts: tuple[str, ...]
    decode: Decode

    def reached(self, tokens: Sequence[int]) -> bool:
        """Whether a text has just come to one of the stop texts. Only its end is decoded."""
        if not self.texts:
            return False
        end = self.decode(tokens[-(max(map(len, self.texts)) + MARGIN) :])
        return any(text in end for text in self.texts)

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of a completion up to the first stop text, without white space around it."""
        return self.cut(tokens).strip()

    def cut(self, tokens: Sequence[int]) -> str:
        """Return the text of a completion up to the first stop text."""
        text = self.decode(tokens)
        found = [at for stop in self.texts if (at := text.find(stop)) >= 0]
        return text[: min(found, default=len(text))]
