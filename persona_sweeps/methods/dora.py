"""`peft=dora`: LoRA changes the direction of each output's weights, a magnitude their length (Liu et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from persona_sweeps.methods.lora import Lora


@dataclass
class Dora(Lora):
    """LoRA that trains the lengths of the adapted weight's rows separately."""

    method: str = "dora"

    title = "DoRA"
    has_magnitudes = True
