"""`peft=ia3`: a trained factor for each key, value and hidden feature of the MLP (Liu et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from persona_sweeps.methods.checks import check_targets
from persona_sweeps.methods.method import Method

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.methods.weights import Adapter


@dataclass
class Ia3(Method):
    """Trained factors that scale the outputs of some layers and the inputs of others."""

    method: str = "ia3"
    target_modules: Any = None
    feedforward_modules: Any = None

    @property
    def label(self) -> str:
        return "(IA)³"

    @property
    def search_space(self) -> Mapping[str, str]:
        return {"train.learning_rate": "tag(log, interval(1e-3,1e-1))"}

    def check(self, config: RunConfig) -> Iterator[str]:
        if self.target_modules is not None:
            yield from check_targets("peft.target_modules", self.target_modules)
        if self.feedforward_modules:
            yield from check_targets("peft.feedforward_modules", self.feedforward_modules)
            if self.target_modules is None:
                yield "peft.feedforward_modules has no effect without peft.target_modules: name all layers there, too."

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        from persona_sweeps.methods.ia3_init import create_ia3
        from persona_sweeps.methods.weights import Adapter

        return Adapter(ia3=create_ia3(model, self), seed=seed)

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        from persona_sweeps.methods.ia3_init import scaled_layers
        from persona_sweeps.models.layers import features, linear_layers

        layers = linear_layers(model)
        outputs, inputs = scaled_layers(model, self)
        return sum(features(layers[path])[1] for path in outputs) + sum(features(layers[path])[0] for path in inputs)
