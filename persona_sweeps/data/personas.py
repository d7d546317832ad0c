"""Keep the examples of the characters that `dataset.persona` names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from persona_sweeps.data.example import Example
from persona_sweeps.errors import ConfigError, did_you_mean


def of_personas(examples: Iterable[Example], personas: Sequence[str]) -> list[Example]:
    """Return the examples of these characters, in any case; all of them if no name is given.

    Raises `ConfigError`, with the nearest name, for a character without an example.
    """
    every = list(examples)
    if not personas:
        return every
    require_known(personas, (example.persona for example in every if example.persona))
    wanted = {name.casefold() for name in personas}
    return [example for example in every if (example.persona or "").casefold() in wanted]


def require_known(personas: Sequence[str], names: Iterable[str]) -> None:
    """Raise `ConfigError` for the first of the personas that isn't among these names, in any case."""
    spellings = {name.casefold(): name for name in names}
    for name in personas:
        if name.casefold() not in spellings:
            known = sorted(spellings.values())
            hint = did_you_mean(name, known) or f" There are {', '.join(known[:10]) or 'no personas at all'}."
            raise ConfigError(f"dataset.persona={name} has no example.{hint}")
