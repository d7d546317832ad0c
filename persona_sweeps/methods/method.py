"""The base class of methods that train. Importing it, or a method's kind, imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.config.predictor import Predictor

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.methods.weights import Adapter

ADAPTER = "adapter"
"""the folder of a run that holds its adapter, in PEFT's format"""


@dataclass
class Method(Predictor):
    """A method that trains an adapter.

    A method of another package subclasses this one. It must define `create` and `trainable_parameters`. If the adapter
    has parts that PEFT's format holds (LoRA, (IA)³, a soft prompt, a prefix), `save` and `load` work as they are here;
    any other adapter needs its own.
    """

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        raise NotImplementedError(f"{type(self).__name__}.create")

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        raise NotImplementedError(f"{type(self).__name__}.trainable_parameters")

    def save(
        self, adapter: Adapter, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, base_name: str, folder: Path
    ) -> None:
        from persona_sweeps.methods.export import export_adapter

        export_adapter(adapter, model, base_name, folder / ADAPTER)

    def load(self, model: PreTrainedModel, folder: Path) -> Adapter:
        from persona_sweeps.methods.formats.read import read_adapter

        return read_adapter(folder / ADAPTER, model)
