"""`peft=few_shot`: the untuned base, with solved training examples before every prompt (Brown et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least
from persona_sweeps.prediction.references.reference import Reference

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig


@dataclass
class FewShot(Reference):
    """Solved examples of the same persona, drawn by the seed; data/few_shot.py chooses and renders them."""

    method: str = "few_shot"
    shots: int = MISSING

    description = "the base model as it is, with solved training examples before each prompt"

    @property
    def label(self) -> str:
        return f"few-shot, {self.shots} shots"

    @property
    def name_parts(self) -> list[str]:
        return [self.method, f"k{self.shots}"]

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from at_least("peft.shots", self.shots, 1)

    def prompt_key(self, config: RunConfig) -> object:
        """Return the settings of the shots; they include the context limit, which may reduce the number of shots."""
        from persona_sweeps.data.few_shot import shots_of

        return shots_of(config)
