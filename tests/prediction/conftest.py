"""The tiny twins and the sequences that the engine is tested on."""

from __future__ import annotations

from tests.toolbox import base, llama, sequences

__all__ = ["base", "llama", "sequences"]
