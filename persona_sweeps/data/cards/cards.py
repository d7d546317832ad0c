"""Persona cards: the system message that describes the character to play, made from facts about the play."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from persona_sweeps.data.cards.card_files import card_text
from persona_sweeps.data.plays.library import display_name
from persona_sweeps.data.plays.plays import Play

KINDS = {
    "comedies": "comedy",
    "histories": "history",
    "problems": "problem play",
    "roman": "Roman tragedy",
    "romances": "romance",
    "tragedies": "tragedy",
}
"""folder of a play → what to call it; "play" for any other folder"""

LONG = (
    "You are {name}, a character in {work}. The people you speak with most are {partners}. Each message gives you "
    "a moment of the play: the heading of the scene, stage directions in square brackets, and what was said just "
    "before, every speech after its speaker's name. Answer with {name}'s next speech and with nothing else. Stay in "
    "character: say what {name} would say here, with the feelings, manners and knowledge of that moment, in the early "
    "modern English of the play. Don't write a speaker's name, stage directions, other people's speeches or comments."
)
SHORT = "You are {name}, a character in {work}. Answer with {name}'s next speech."


def persona_card(card: str, play: Play, persona: str, author: str | None = None) -> str | None:
    """Return a card's text: that of `long`, `short` or a card's file, None for `none`, and any other text unchanged.

    `persona` is a speaker of `play`, as `display_name` writes it.
    """
    templates = {"long": LONG, "short": SHORT, "none": None}
    template = templates.get(card.strip().casefold(), card)
    if template is None or template is card:
        return card_text(template, persona)
    kind = KINDS.get(play.kind, "play")
    work = f"{author}'s {kind} {play.title}" if author else f"the {kind} {play.title}"
    return template.format(name=persona, work=work, partners=listed(partners(play, persona)) or "unnamed")


def partners(play: Play, persona: str, n: int = 5) -> list[str]:
    """Return the `n` speakers who speak most often right before or after the persona in a scene."""
    neighbours: Counter[str] = Counter()
    for _, scene in play.scenes():
        for one, other in zip(scene.speeches, scene.speeches[1:], strict=False):
            for speech, neighbour in ((one, other), (other, one)):
                if persona.casefold() in (name.casefold() for name in speech.speakers):
                    neighbours.update(display_name(name) for name in neighbour.speakers)
    ranked = sorted(neighbours, key=lambda name: (-neighbours[name], name))
    return [name for name in ranked if name.casefold() not in (persona.casefold(), "all", "both")][:n]


def listed(names: Sequence[str]) -> str:
    """Return "Ann, Ben and Cleo"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
