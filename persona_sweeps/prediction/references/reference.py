"""The base class of references: predictors that train nothing and serve as baselines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.config.predictor import Predictor

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.methods.weights import Adapter


@dataclass
class Reference(Predictor):
    """A predictor that trains and saves nothing, and answers as the base model does, if it has one."""

    trains = False
    is_reference = True

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        from persona_sweeps.methods.weights import Adapter

        return Adapter(seed=seed)

    def save(
        self, adapter: Adapter, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, base_name: str, folder: Path
    ) -> None:
        """Save nothing."""

    def load(self, model: PreTrainedModel, folder: Path) -> Adapter:
        from persona_sweeps.methods.weights import Adapter

        return Adapter()
