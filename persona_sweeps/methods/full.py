"""`peft=full`: train all weights of the language model, in fp32 copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.methods.method import Method

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.methods.weights import Adapter

MODEL = "model"
"""the folder of a run that holds the whole model with its tokenizer"""


@dataclass
class Full(Method):
    """Full fine-tuning: such a run is a group of its own, and its result is a model, not an adapter."""

    method: str = "full"

    can_start_from = False
    owns_base = True

    @property
    def label(self) -> str:
        return "full fine-tuning"

    @property
    def search_space(self) -> Mapping[str, str]:
        return {"train.learning_rate": "tag(log, interval(1e-5,1e-3))"}

    def check(self, config: RunConfig) -> Iterator[str]:
        if config.quantization.method != "none":
            yield (
                f"peft=full trains the base model's own weights, and quantization={config.quantization.method} freezes "
                "them: set quantization=none, or train an adapter such as peft=lora."
            )

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        from persona_sweeps.methods.full_weights import create_full
        from persona_sweeps.methods.weights import Adapter

        return Adapter(full=create_full(model), seed=seed)

    def save(
        self, adapter: Adapter, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, base_name: str, folder: Path
    ) -> None:
        from persona_sweeps.methods.export import export_model

        assert adapter.full is not None
        export_model(adapter.full, model, tokenizer, folder / MODEL)

    def load(self, model: PreTrainedModel, folder: Path) -> Adapter:
        from persona_sweeps.methods.full_weights import read_full
        from persona_sweeps.methods.weights import Adapter

        return Adapter(full=read_full(folder / MODEL, model))

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        from persona_sweeps.methods.full_weights import language_parameters

        return sum(parameter.numel() for parameter in language_parameters(model).values())
