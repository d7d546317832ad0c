"""`peft=dora`: LoRA turns each output's weights, and a trained magnitude says how long they are (Liu et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from persona_sweeps.methods.lora import Lora


@dataclass
class Dora(Lora):
    """LoRA with the lengths of the adapted weight's rows trained apart."""

    method: str = "dora"

    title = "DoRA"
    has_magnitudes = True
