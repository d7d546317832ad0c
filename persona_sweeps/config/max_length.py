"""The longest example that a run reads, where the config leaves it to the model."""

from __future__ import annotations

from persona_sweeps.errors import ConfigError

AUTO = "auto"
USUAL = 1024
"""tokens of prompt and completion"""


def resolve_max_length(configured: object, context_length: int) -> int:
    """Return `train.max_length` as a number; auto leaves a quarter of a short context to new and virtual tokens.

    It depends on nothing but the model, so that neither a method nor a way of decoding changes what is trained on.
    Raises ConfigError for a text that is neither a number nor auto.
    """
    if configured == AUTO:
        return min(USUAL, context_length * 3 // 4)
    if isinstance(configured, int) and not isinstance(configured, bool):
        return configured
    raise ConfigError(f"train.max_length={configured} is neither a whole number of tokens nor auto.")
