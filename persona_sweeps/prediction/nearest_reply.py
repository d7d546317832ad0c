"""What `peft=nearest_reply` answers: to each held-out prompt the reply of the training example asked most alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.prediction.nearest import Nearest


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, the id of the training example that gave it, and how alike the prompts are (cosine)."""

    text: str
    nearest_id: str
    similarity: float
    own_persona: bool
    """whether it is a reply of the persona that was asked"""


def nearest_replies(corpus: Corpus, asked: Sequence[Example]) -> list[Reply]:
    """Return a reply for each held-out example: of its own persona, or of any where that has no training example.

    All training examples are looked at, also those too long to train on: so the tokenizer has no say in it.
    """
    known: dict[str | None, tuple[list[Example], Nearest]] = {}
    replies = []
    for example in asked:
        if example.persona not in known:
            own = [solved for solved in corpus.train if solved.persona == example.persona] or list(corpus.train)
            known[example.persona] = own, Nearest([prompt_text(solved) for solved in own])
        solved, nearest = known[example.persona]
        place, similarity = nearest(prompt_text(example))
        found = solved[place]
        replies.append(Reply(found.completion, found.id, similarity, found.persona == example.persona))
    return replies


def prompt_text(example: Example) -> str:
    """Return what an example's prompt says, without any model's template."""
    if isinstance(example.prompt, str):
        return example.prompt
    return "\n\n".join(message.content for message in example.prompt)
