"""How a GGUF file stores weights: what llama.cpp's converter writes, and what its llama-quantize makes of F16."""

from __future__ import annotations

from collections.abc import Sequence

from persona_sweeps.errors import UserError, did_you_mean

F16 = "f16"
"""the reference that the others are compared with"""
CONVERTED = (F16, "q8_0")
"""kinds that the converter writes itself"""
QUANTIZED = ("q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q3_k_m", "q2_k", "q5_0", "q4_0", "iq4_xs")
"""kinds that need llama-quantize"""
KINDS = (*CONVERTED, *QUANTIZED)


def read_kinds(text: str) -> tuple[str, ...]:
    """Return the kinds of a list such as `q8_0,q4_k_m`. Raises `UserError` for one that is none."""
    asked = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    for kind in asked:
        if kind not in KINDS:
            raise UserError(f"{kind} is no kind of GGUF file: {', '.join(KINDS)}.{did_you_mean(kind, KINDS)}")
    if not asked:
        raise UserError(f"Which kind of GGUF file? {', '.join(KINDS)}.")
    return asked


def needs_quantizer(kinds: Sequence[str]) -> bool:
    """Whether one of these kinds needs llama-quantize."""
    return any(kind in QUANTIZED for kind in kinds)
