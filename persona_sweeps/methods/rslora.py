"""`peft=rslora`: LoRA scaled by alpha / √r, so that higher ranks keep learning (Kalajdzievski 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from persona_sweeps.methods.lora import Lora


@dataclass
class RsLora(Lora):
    """Pairs A, B that add alpha / √r · BA to a layer's weight."""

    method: str = "rslora"

    title = "rsLoRA"
    by_root = True

    @property
    def search_space(self) -> Mapping[str, str]:
        return {
            "peft.r": "choice(4,8,16,32)",
            "peft.alpha": "choice(4,8,16)",
            "train.learning_rate": "tag(log, interval(1e-4,1e-2))",
        }
