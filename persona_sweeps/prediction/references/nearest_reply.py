"""`peft=nearest_reply`: no model, but the reply of the training example whose prompt is most like the one asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from persona_sweeps.prediction.references.reference import Reference

if TYPE_CHECKING:
    from persona_sweeps.data.example import Example
    from persona_sweeps.prediction.nearest import Nearest


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, the id of the training example that gave it, and how alike the prompts are (cosine)."""

    text: str
    nearest_id: str
    similarity: float
    own_persona: bool
    """whether it is a reply of the persona that was asked"""


@dataclass
class NearestReply(Reference):
    """Looks replies up by the cosine between the TF-IDF vectors of the prompts' words."""

    method: str = "nearest_reply"

    has_model = False
    uses_seed = False
    description = "no model, but the reply of the training example whose prompt is most like the one asked"

    @property
    def label(self) -> str:
        return "nearest reply"

    def replies(self, train: Sequence[Example], asked: Sequence[Example]) -> list[Reply]:
        """Return a reply to each example: of its own persona, or of any where that has no training example.

        All training examples are looked at, also those too long to train on: so the tokenizer has no say in it.
        """
        from persona_sweeps.prediction.nearest import Nearest

        known: dict[str | None, tuple[Sequence[Example], Nearest]] = {}
        replies = []
        for example in asked:
            if example.persona not in known:
                own = [solved for solved in train if solved.persona == example.persona] or train
                known[example.persona] = own, Nearest([prompt_text(solved) for solved in own])
            solved, nearest = known[example.persona]
            index, similarity = nearest(prompt_text(example))
            found = solved[index]
            replies.append(Reply(found.completion, found.id, similarity, found.persona == example.persona))
        return replies


def prompt_text(example: Example) -> str:
    """Return what an example's prompt says, without any model's template."""
    if isinstance(example.prompt, str):
        return example.prompt
    return "\n\n".join(message.content for message in example.prompt)
