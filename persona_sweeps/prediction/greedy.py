"""Greedy decoding: always the most probable token."""

from __future__ import annotations

from dataclasses import dataclass

from persona_sweeps.prediction.decoding import Chooser, Generation


@dataclass
class Greedy(Generation):
    """Choose the most probable token; among equals the first."""

    def chooser(self) -> Chooser:
        return lambda logits, streams, step: logits.argmax(-1)
