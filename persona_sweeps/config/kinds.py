"""What kind of run a peft method makes: trained, evaluated on the base model as it is, or made without any model."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """What the runs of some methods have in common."""

    trains: bool = True
    """whether anything is trained, so that train.learning_rate and its like are read"""
    has_model: bool = True
    """whether a base model is loaded; without one a run has predictions, and no probabilities"""
    module: str = "persona_sweeps.running.group"
    """where the `Group` is that carries such runs out"""

    @property
    def group(self) -> Any:
        """The class of their groups; imported when asked for, since it may import torch."""
        return import_module(self.module).Group


TRAINED = Kind()
AS_IT_IS = Kind(trains=False)
WITHOUT_MODEL = Kind(trains=False, has_model=False, module="persona_sweeps.running.replies")

KINDS: dict[str, Kind] = {"none": AS_IT_IS, "few_shot": AS_IT_IS, "nearest_reply": WITHOUT_MODEL}
"""by peft.method; any other method is trained"""


def kind_of(method: str) -> Kind:
    """Return what kind of run a `peft.method` makes."""
    return KINDS.get(method, TRAINED)
