"""The card of a character in a dialogue: attributes of all speakers, their relations, and the scene."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from persona_sweeps.data.formats.hpd_file import Session, plain_key

PARTS = ("attributes", "relations", "scene")
"""what a card may hold, in the order in which it is written"""
ATTRIBUTES = (
    "gender", "age", "lineage", "talents", "looks", "achievement", "title", "belongings", "export", "hobby",
    "character", "spells", "nickname",
)  # fmt: skip
RANGES = {"affection": (-10, 10), "familiarity": (0, 10)}
PREPOSITIONS = {"affection": "for", "familiarity": "with"}

_RATED = re.compile(r"(?P<who>.+?)(?:'s?)? (?P<what>affection|familiarity) (?:to|for|with|towards?) (?P<whom>.+)")
_PRONOUNS = {"he", "she", "they", "it", "him", "her", "them", "his", "their", "its"}


def dialogue_card(session: Session, persona: str, parts: Sequence[str]) -> str:
    """Return the system message for who plays `persona`; "" without parts."""
    if not parts:
        return ""
    opening = f"You are {persona}. Answer with {persona}'s next words in the dialogue, and with nothing else."
    blocks = {
        "attributes": _attributes(session, persona),
        "relations": _relations(session),
        "scene": f"Scene: {session.scene}" if session.scene else "",
    }
    return "\n\n".join([opening, *(blocks[part] for part in PARTS if part in parts and blocks[part])])


def out_of_range(session: Session) -> list[str]:
    """Return the affections and familiarities that no such scale has, as texts."""
    found = []
    for name, facts in session.relations.items():
        for key, value in facts.items():
            if rated := _RATED.fullmatch(plain_key(key)):
                low, high = RANGES[rated["what"]]
                number = _number(value)
                if value and (number is None or not low <= number <= high):
                    found.append(f"{session.name}, {name}: {key} = {value}")
    return found


def _attributes(session: Session, persona: str) -> str:
    """Return a line for each speaker of whom something is known, the character's own first."""
    names = sorted(session.attributes, key=lambda name: name.casefold() != persona.casefold())
    return "\n".join(line for name in names if (line := _about(name, session.attributes[name])))


def _about(name: str, facts: Mapping[str, str]) -> str:
    known = {plain_key(key): value.strip().rstrip(".") for key, value in facts.items() if value.strip()}
    order = [*(key for key in ATTRIBUTES if key in known), *(key for key in known if key not in (*ATTRIBUTES, "name"))]
    listing = ". ".join(f"{key.capitalize()}: {known[key]}" for key in order)
    return f"About {name}: {listing}." if listing else ""


def _relations(session: Session) -> str:
    lines = [f"{name}: {'; '.join(said)}." for name in session.relations if (said := list(_relation(session, name)))]
    if not lines:
        return ""
    return "\n".join([f"Relations with {session.hero}, affection from -10 to 10, familiarity from 0 to 10:", *lines])


def _relation(session: Session, name: str) -> Iterator[str]:
    """Yield what a speaker is to the hero, then how they feel about each other."""
    facts = {plain_key(key): value for key, value in session.relations[name].items() if plain_key(key) != "name"}
    kinds = [key for key, value in facts.items() if not _RATED.fullmatch(key) and _holds(value)]
    if kinds:
        yield ", ".join(kinds)
    for key, value in facts.items():
        rated = _RATED.fullmatch(key)
        if rated and value.strip():
            who, whom = (_named(rated[side], session.hero, name) for side in ("who", "whom"))
            yield f"{who}'s {rated['what']} {PREPOSITIONS[rated['what']]} {whom} {value}"


def _named(written: str, hero: str, other: str) -> str:
    if written in _PRONOUNS:
        return other
    return next((name for name in (hero, other) if name.casefold() == written), written)


def _holds(value: str) -> bool:
    """Return whether a binary relation holds: 1, or yes."""
    number = _number(value)
    return bool(number) if number is not None else value.strip().casefold() in ("true", "yes")


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
