"""The words of a text, as metrics of copied text compare them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+(?:['’]\w+)*")


def words(text: str) -> Sequence[str]:
    """Return the words of a text in lower case; an apostrophe inside a word is part of it."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]
