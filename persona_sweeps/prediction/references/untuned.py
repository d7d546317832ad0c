"""`peft=none`: the base model as it is."""

from __future__ import annotations

from dataclasses import dataclass

from persona_sweeps.prediction.references.reference import Reference


@dataclass
class Untuned(Reference):
    """The untuned base: the row that every method has to beat."""

    method: str = "none"

    reads_training_data = False
    uses_seed = False
    is_base = True
    description = "the base model as it is"

    @property
    def label(self) -> str:
        return "untuned"
