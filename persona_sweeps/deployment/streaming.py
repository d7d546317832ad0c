"""Turn tokens into pieces of text as they come, of which none is taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from persona_sweeps.prediction.ending import Ending

Say: TypeAlias = Callable[[str], None]
"""is called with a piece of text"""

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""what the first bytes of a character decode to before the others are there"""


class TextStream:
    """The text of growing tokens: `say` gets each piece once it is sure, and all pieces make `Ending.text`."""

    def __init__(self, ending: Ending, say: Say) -> None:
        self._ending, self._say = ending, say
        self._said = ""

    def __call__(self, index: int, tokens: Sequence[int]) -> None:
        """Say what one more token makes sure: no half character, and nothing that may begin a stop text."""
        text = self._ending.cut(tokens).rstrip(UNFINISHED)
        held = max((_overlap(text, stop) for stop in self._ending.texts), default=0)
        self._pass_on(text[: len(text) - held].strip())

    def finish(self, tokens: Sequence[int]) -> None:
        """Say the rest."""
        self._pass_on(self._ending.text(tokens))

    def _pass_on(self, text: str) -> None:
        if len(text) > len(self._said):
            piece, self._said = text[len(self._said) :], text
            self._say(piece)


def _overlap(text: str, stop: str) -> int:
    """Return how many of a text's last characters are the first ones of a stop text."""
    return next((n for n in range(min(len(text), len(stop)), 0, -1) if text.endswith(stop[:n])), 0)
