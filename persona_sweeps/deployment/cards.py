"""A run's persona card: as it stood before the character's lines in training, and as a file for chat programs."""

from __future__ import annotations

from pathlib import Path

from persona_sweeps.config.schema import RunConfig
from persona_sweeps.data import corpus_of
from persona_sweeps.data.cards.writing import character_card, write_card
from persona_sweeps.data.example import Example
from persona_sweeps.data.templates import split_system
from persona_sweeps.deployment.host import FinishedRun
from persona_sweeps.errors import UserError

LINE = (20, 240)
"""fewest and most characters of a line that serves as an example"""


def persona_of(config: RunConfig) -> str | None:
    """Return the character that a run was trained on; None for several, or none."""
    persona = getattr(config.dataset, "persona", None)
    return persona if isinstance(persona, str) else None


def card_of(config: RunConfig, persona: str | None = None) -> str | None:
    """Return the persona card that stood before a character's lines in training; None if there was none.

    Raises UserError where the run's data aren't on this machine any more.
    """
    for example in _examples(config, persona):
        system, _ = split_system(example.prompt if not isinstance(example.prompt, str) else ())
        return system[0].content if system else None
    return None


def export_card(run: FinishedRun, path: Path, persona: str | None, lines: int, picture: Path | None = None) -> str:
    """Write a run's persona card, with a few of the character's lines in training, to a .json or .png file.

    Returns the character's name. Raises `UserError` where there is no card, or no one character, and for a file
    that can't be written.
    """
    name = persona or persona_of(run.config)
    if name is None:
        raise UserError(f"{run.name} was trained on several characters, or on none by name: say which with --persona.")
    text = card_of(run.config, name)
    if text is None:
        raise UserError(f"{run.name} was trained without a persona card for {name} (dataset.card).")
    fitting = [
        example.completion for example in _examples(run.config, name) if LINE[0] <= len(example.completion) <= LINE[1]
    ]
    spread = fitting[:: max(1, len(fitting) // lines)][:lines] if lines else []
    try:
        write_card(path, character_card(name, text, spread), picture)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}.") from None
    return name


def _examples(config: RunConfig, persona: str | None) -> list[Example]:
    """Return the training examples of a character, or all of them."""
    wanted = (persona or persona_of(config) or "").casefold()
    return [one for one in corpus_of(config).train if not wanted or (one.persona or "").casefold() == wanted]
