"""`peft=true_reply`: no model; answer with what the character really says, so that metrics of texts have a ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from persona_sweeps.prediction.references.reference import Reference

if TYPE_CHECKING:
    from persona_sweeps.data.example import Example


@dataclass
class TrueReply(Reference):
    """Scores the character's own held-out lines as if a model had said them."""

    method: str = "true_reply"

    has_model = False
    reads_training_data = False
    uses_seed = False
    is_ceiling = True
    description = "what the character really says, scored as if a model had said it"

    @property
    def label(self) -> str:
        return "the real lines"

    def answer(
        self, train: Sequence[Example], held_out: Sequence[Example]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return each held-out example's own completion, and no counts."""
        return [{"text": example.completion, "finished": True} for example in held_out], {}
