"""Find held-out lines of several characters, the run's own and others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Example
from persona_sweeps.data.splits import spread
from persona_sweeps.errors import ConfigError, UserError

if TYPE_CHECKING:
    from persona_sweeps.data.run_data import RunData

OTHERS = 3
"""characters that a run of one character is compared with if none are named"""


def held_out_lines(data: RunData, characters: Sequence[str] | None, limit: int) -> dict[str, list[Example]]:
    """Return held-out lines by speaker, at most `limit` of each, taken from the scenes in turn.

    A run of several characters has its own split; the lines are those of its characters. For a run of one character,
    each named character's lines are those that a run of that character would hold out. Without names, they are the
    lines of those who say most in the held-out scenes of the same works. Raises ConfigError for an unknown name.
    """
    everyone = list(data.all_characters.held_out)
    if len(data.personas) > 1:
        lines = {name: [line for line in everyone if line.persona == name] for name in data.personas}
    elif characters is None:
        counts = Counter(str(line.persona) for line in everyone if line.persona is not None)
        most = sorted(counts, key=lambda name: (name not in data.personas, -counts[name], name))[: 1 + OTHERS]
        lines = {name: [line for line in everyone if line.persona == name] for name in most}
    else:
        lines = dict(_split_alone(data, name) for name in characters)
    return {name: [of[index] for index in spread([e.cluster for e in of], limit)] for name, of in lines.items()}


def _split_alone(data: RunData, name: str) -> tuple[str, list[Example]]:
    """Return a character's name as the data have it, and what a run of that character holds out."""
    whole = replace(data.source, persona=name, limit=None, eval_limit=None, eval_per_cluster=None)
    try:
        held_out = load_corpus(whole).eval
    except UserError as error:
        raise ConfigError(f"metrics.blending.characters names {name}: {error}") from error
    return str(held_out[0].persona), list(held_out)
