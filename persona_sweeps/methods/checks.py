"""Check the keys that name layers, and the keys that initialize virtual tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from persona_sweeps.config.checks import one_of

PROMPT_INITS = ("sample_vocab", "text", "random")


def check_targets(key: str, value: Any) -> Iterator[str]:
    """Yield a sentence unless the value is a name, a list of names, or a pattern that compiles."""
    if not isinstance(value, str | list) or not value or not all(isinstance(name, str) for name in value):
        yield f"{key}={value} must be all-linear, a list of names, or a pattern."
    elif isinstance(value, str):
        try:
            re.compile(value)
        except re.error as error:
            yield f"{key}={value} is no regular expression ({error}): use all-linear, a list of names, or correct it."


def check_token_init(key: str, init: str, text: str | None) -> Iterator[str]:
    """Yield a sentence for an unknown init, and for an init_text that is missing or has no effect."""
    yield from one_of(key, init, PROMPT_INITS)
    if init == "text" and not (text or "").strip():
        yield f"{key}=text needs the text to start from: set peft.init_text."
    if init != "text" and text is not None:
        yield f"peft.init_text has no effect with {key}={init}: set {key}=text or drop it."
