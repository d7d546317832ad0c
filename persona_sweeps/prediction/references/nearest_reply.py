"""`peft=nearest_reply`: no model, but the reply of the training example whose prompt is most like the one asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from persona_sweeps.prediction.references.reference import Reference

if TYPE_CHECKING:
    from persona_sweeps.data.example import Example
    from persona_sweeps.prediction.nearest import Nearest


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

    def answer(
        self, train: Sequence[Example], held_out: Sequence[Example]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Reply to each example as one of its own persona was, or as any where that has no training example.

        A row has the id of the training example that gave the `text`, and how alike the prompts are (cosine). All
        training examples are looked at, also those too long to train on: so the tokenizer has no say in it.
        """
        from persona_sweeps.prediction.nearest import Nearest

        known: dict[str | None, tuple[Sequence[Example], Nearest]] = {}
        rows: list[dict[str, Any]] = []
        others = 0
        for example in held_out:
            if example.persona not in known:
                own = [solved for solved in train if solved.persona == example.persona] or train
                known[example.persona] = own, Nearest([solved.prompt_text for solved in own])
            solved, nearest = known[example.persona]
            index, similarity = nearest(example.prompt_text)
            found = solved[index]
            others += found.persona != example.persona
            rows.append({"text": found.completion, "nearest_id": found.id, "similarity": similarity})
        counts = {
            "replies_of_other_personas": others,
            "replies_without_a_shared_word": sum(not row["similarity"] for row in rows),
        }
        return rows, {name: count for name, count in counts.items() if count}
