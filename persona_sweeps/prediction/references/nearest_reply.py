"""`peft=nearest_reply`: no model; answer with the reply of the training example that has the most similar prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from persona_sweeps.prediction.references.reference import Reference

if TYPE_CHECKING:
    from persona_sweeps.data.example import Example
    from persona_sweeps.data.nearest import Nearest


@dataclass
class NearestReply(Reference):
    """Looks up replies by the cosine between the TF-IDF vectors of the prompts' words."""

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
        """Return a reply to each held-out example, from its own persona's training examples if there are any.

        A row has the `text`, the id of the training example that gave it, and the cosine of the prompts. Training
        examples that are too long to train on count, too, so that the reply doesn't depend on a tokenizer.
        """
        from persona_sweeps.data.nearest import Nearest

        by_persona: dict[str | None, tuple[Sequence[Example], Nearest]] = {}
        rows: list[dict[str, Any]] = []
        others = 0
        for example in held_out:
            if example.persona not in by_persona:
                candidates = [solved for solved in train if solved.persona == example.persona] or train
                by_persona[example.persona] = candidates, Nearest([solved.prompt_text for solved in candidates])
            candidates, nearest = by_persona[example.persona]
            index, similarity = nearest(example.prompt_text)
            chosen = candidates[index]
            others += chosen.persona != example.persona
            answer = {"text": chosen.completion, "finished": True}
            rows.append(answer | {"nearest_id": chosen.id, "similarity": similarity})
        counts = {
            "replies_of_other_personas": others,
            "replies_without_a_shared_word": sum(not row["similarity"] for row in rows),
        }
        return rows, {name: count for name, count in counts.items() if count}
