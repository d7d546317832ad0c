"""Notice prompts that get a system message which nobody wrote: many chat templates put one of their own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from persona_sweeps.data.example import Example
from persona_sweeps.data.templates import template_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LOOKED_AT = 100
"""examples of which one without a system message is worth a note"""


def own_system_note(name: str, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]) -> str | None:
    """Return what the user should know if a model's template writes a system message for some of these examples."""
    if all(map(_has_system, islice(examples, LOOKED_AT))) or not (text := template_of(tokenizer).own_system()):
        return None
    return (
        f"{name}: its chat template puts a system message of its own before prompts without one: “{text}”. "
        "dataset.card=… puts yours."
    )


def _has_system(example: Example) -> bool:
    """Whether an example has a system message of its own, or no prompt that could need one."""
    return example.prompt == "" if isinstance(example.prompt, str) else example.prompt[0].role == "system"
