"""Model families: one module for each architecture; a card's `family` names it.

To add one, write a module with a `Family` and name it in config/kinds.py, or register it from another package with the
entry point `persona_sweeps.families`; then add a card in conf/model. Nothing here imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from persona_sweeps.config.kinds import FAMILIES
from persona_sweeps.models.families.family import Family

if TYPE_CHECKING:
    from persona_sweeps.config.schema import ModelConfig


def family_of(card: ModelConfig) -> Family:
    """Return a card's family. Raises ConfigError for one that nobody registered."""
    return FAMILIES.find(card.family)()
