"""The words of a command line, put as Hydra wants them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields

from persona_sweeps.config.kinds import TRACKERS
from persona_sweeps.errors import UserError

_MULTIRUN = ("-m", "--multirun")
_SHOWS_ONLY = ("--cfg", "-c", "--info", "-i", "--help", "-h", "--hydra-help", "--version", "--run", "-r")
_OF_SWEEPS = ("hydra/launcher", "hydra/sweeper")
"""groups of Hydra that a single run has no use for"""
_ASKS_FOR_SWEEP = re.compile(r"[+~]*hydra(?:/(?:launcher|sweeper)=(?!(?:basic|fused)$)|\.(?:launcher|sweeper)\.)")
"""any but the usual launcher and sweeper, or a setting of one"""


def arranged(words: Sequence[str]) -> list[str]:
    """Return the words with -m in front, wherever it stood, and added where they ask for what only a sweep has.

    Hydra would ignore a launcher or a sweeper without -m, and train here: on the login node of a cluster, say. It adds
    a key that no file lists only with ++, and such are the keys of whichever methods a sweep has. Raises UserError for
    hydra.launcher=NAME, which Hydra would ignore as well.
    """
    rest = [word for word in words if word not in _MULTIRUN]
    for word in rest:
        _refuse_dot(word)
    is_sweep = len(rest) < len(words) or (
        any(map(_ASKS_FOR_SWEEP.match, rest)) and not any(w in _SHOWS_ONLY for w in rest)
    )
    found = [f"++{word}" if word.startswith("methods.") else _whole_key(word, rest) for word in rest]
    return ["-m", *found] if is_sweep else found


def _whole_key(word: str, words: Sequence[str]) -> str:
    """Return tracker.KEY=… as tracker.NAME.KEY=…, where one of the chosen trackers has this key."""
    match = re.match(r"tracker\.(\w+)=", word)
    if match is None:
        return word
    chosen = [name for text in words if text.startswith("tracker=") for name in re.findall(r"\w+", text[8:])]
    owners = [name for name in chosen if name in TRACKERS.names() and _has_key(name, match[1])]
    return word.replace("tracker.", f"tracker.{owners[0]}.", 1) if len(set(owners)) == 1 else word


def _has_key(tracker: str, key: str) -> bool:
    return key in {field.name for field in fields(TRACKERS.find(tracker))}


def _refuse_dot(word: str) -> None:
    key, is_given, value = word.partition("=")
    for group in _OF_SWEEPS:
        if is_given and key == group.replace("/", "."):
            raise UserError(f"{word} chooses nothing: write {group}={value}, with a slash.")
