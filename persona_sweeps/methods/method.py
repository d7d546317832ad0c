"""The base class of methods that train. Importing it, or a method's kind, imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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

    start_from: str | None = None
    """an adapter's folder whose weights training begins with; a run's id or folder in the config"""

    not_identity: ClassVar[tuple[str, ...]] = ("learning_rate", "start_from")
    can_start_from = True
    """whether training can begin with exported weights"""

    def facts(self) -> dict[str, Any]:
        """Return the facts of a record; the label says which run's weights training began with."""
        facts = super().facts()
        if self.start_from is not None:
            folder = Path(self.start_from)
            run = folder.parent.name.rpartition("-")[2] if folder.name == ADAPTER else folder.name
            facts["label"] += f" from {run}"
        return facts

    def fingerprint(self) -> str | None:
        """Return a hash of the weights that training begins with; None if they are fresh."""
        if self.start_from is None:
            return None
        from persona_sweeps.methods.formats.files import TENSORS
        from persona_sweeps.models.fingerprints import files_sha256

        return files_sha256(sorted(Path(self.start_from).rglob(TENSORS)))

    def start(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        adapter = self.create(model, tokenizer, seed)
        if self.start_from is not None:
            from persona_sweeps.methods.start import start_weights

            folder = Path(self.start_from)
            start_weights(adapter, self.load_from(model, folder), folder)
        return adapter

    def load_from(self, model: PreTrainedModel, folder: Path) -> Adapter:
        """Return the adapter in a folder in PEFT's format, as this method trains it on."""
        from persona_sweeps.methods.formats.read import read_adapter

        return read_adapter(folder, model)

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
        return self.load_from(model, folder / ADAPTER)
