"""Errors for users to read: each message is one clear sentence, with the nearest right name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the user, reported in one sentence without a traceback."""


class ConfigError(UserError):
    """A config value that is unknown, invalid, or contradicts another one."""


class DataError(UserError):
    """A data source that is missing, malformed, or too small to train on."""


class NoneFits(DataError):
    """No example is short enough; `shortest` is the length in tokens of the shortest."""

    def __init__(self, message: str, shortest: int) -> None:
        super().__init__(message)
        self.shortest = shortest


class TrialError(Exception):
    """A failure that belongs to one trial and leaves the others of its group unharmed."""


class Diverged(TrialError):
    """Training, or what it led to, left the finite numbers: a result of its setting, and not an accident."""


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """Return up to `n` of the `known` names that look most like `name`, best first, ignoring case."""
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(candidate.casefold(), candidate)
    folded = name.casefold()
    matches = [key for key in by_folded if _is_short_for(folded, key)]
    matches += [key for key in difflib.get_close_matches(folded, by_folded, n=n, cutoff=0.5) if key not in matches]
    matches += [key for key in by_folded if folded and folded in key and key not in matches]
    return [by_folded[key] for key in matches[:n]]


def _is_short_for(short: str, name: str) -> bool:
    """Whether a name's last part is the initials of another's, as lr is those of learning_rate."""
    last, words = short.rpartition(".")[2], name.rpartition(".")[2].split("_")
    return len(words) > 1 and last == "".join(word[:1] for word in words)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean …?" for the nearest of the `known` names, or "" when none is near."""
    matches = nearest(name, known)
    return f" Did you mean {' or '.join(matches)}?" if matches else ""
