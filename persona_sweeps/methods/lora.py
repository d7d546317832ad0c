"""`peft=lora`: low-rank pairs beside the model's linear layers (Hu et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least, one_of
from persona_sweeps.errors import ConfigError
from persona_sweeps.methods.checks import check_targets
from persona_sweeps.methods.method import Method

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.methods.weights import Adapter

INITS = ("default", "pissa", "olora")


@dataclass
class Lora(Method):
    """Pairs A, B that add alpha / r · BA to a layer's weight."""

    method: str = "lora"
    r: int = MISSING
    alpha: float = MISSING
    alpha_ratio: float | None = None
    dropout: float = MISSING
    target_modules: Any = MISSING
    init: str = MISSING

    title = "LoRA"
    by_root = False
    """whether the pairs are scaled by alpha / √r, not alpha / r"""
    has_magnitudes = False
    """whether the lengths of the weight's rows are trained, too"""

    def __post_init__(self) -> None:
        """Convert alpha_ratio to alpha, so that both ways to set it give the same run."""
        if self.alpha_ratio is not None:
            self.alpha, self.alpha_ratio = float(self.alpha_ratio * self.r), None

    @property
    def scale(self) -> float:
        """The factor of the pairs' product."""
        return self.alpha / (math.sqrt(self.r) if self.by_root else self.r)

    @property
    def label(self) -> str:
        init = "" if self.init == "default" else f" {self.init}"
        return f"{self.title} r={self.r} α={self.alpha:g}{init}"

    @property
    def name_parts(self) -> list[str]:
        return [self.method, f"r{self.r}"]

    @property
    def search_space(self) -> Mapping[str, str]:
        return {
            "peft.r": "choice(4,8,16,32)",
            "peft.alpha_ratio": "choice(0.5,1,2,4)",
            "train.learning_rate": "tag(log, interval(1e-4,1e-2))",
        }

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from one_of("peft.init", self.init, INITS)
        yield from at_least("peft.r", self.r, 1)
        if not 0 <= self.dropout < 1:
            yield f"peft.dropout={self.dropout:g} must be at least 0 and below 1."
        if not self.alpha > 0:
            yield f"peft.alpha={self.alpha:g} must be above 0."
        yield from check_targets("peft.target_modules", self.target_modules)

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        from persona_sweeps.methods.lora_init import create_lora
        from persona_sweeps.methods.weights import Adapter

        return Adapter(lora=create_lora(model, self, seed), seed=seed)

    def load_from(self, model: PreTrainedModel, folder: Path) -> Adapter:
        from persona_sweeps.methods.formats.lora import separate_start

        adapter = super().load_from(model, folder)
        if self.init != "default" and adapter.lora is not None:
            separate_start(adapter.lora, self.scale)
        return adapter

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        from persona_sweeps.models.layers import features, linear_layers, target_paths

        layers = linear_layers(model)
        widths = {path: features(layers[path]) for path in target_paths(model, self.target_modules)}
        narrowest = min(widths, key=lambda path: min(widths[path]))
        if self.init != "default" and self.r > (limit := min(widths[narrowest])):
            raise ConfigError(
                f"peft.init={self.init} needs a weight with at least peft.r={self.r} directions, and {narrowest} has "
                f"{limit}: lower peft.r to {limit}, or set peft.init=default."
            )
        magnitudes = sum(outputs for _, outputs in widths.values()) if self.has_magnitudes else 0
        return self.r * sum(inputs + outputs for inputs, outputs in widths.values()) + magnitudes

    def saved_parameters(self, model: PreTrainedModel) -> int:
        """Count the pairs' initial values, too: with them the exported rank is doubled."""
        trained = self.trainable_parameters(model)
        if self.init == "default":
            return trained
        return trained + _plain_pairs(self).trainable_parameters(model)


def _plain_pairs(lora: Lora) -> Lora:
    """Return plain LoRA with the same pairs, without magnitudes."""
    return Lora(r=lora.r, alpha=lora.alpha, dropout=0.0, target_modules=lora.target_modules, init="default")
