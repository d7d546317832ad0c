"""Merge the names by which scripts call one speaker: `ROSS` and `Ross`, `Chan` and `Mr. Bing` by a map; divide groups.

`Monica and Rachel` are two speakers if each also speaks alone. `All` is nobody: such a speech is context only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from persona_sweeps.data.plays.library import display_name
from persona_sweeps.errors import ConfigError, did_you_mean

CROWDS = frozenset((
    "all", "both", "everyone", "everybody", "everyone else", "others", "the others", "together", "all together",
))  # fmt: skip
"""groups of whoever is there"""
_DIVIDER = re.compile(r"\s*(?:,\s*(?:and\b|&)?|/|&|\+|\band\b|\bet\b|\bund\b|\by\b)\s*", re.I)


class Cast:
    """The speakers of all scripts.

    `aliases` gives for a name what else it is called, `groups` for a group whom it consists of. Raises ConfigError for
    an alias of two names.
    """

    def __init__(
        self,
        names: Iterable[str],
        aliases: Mapping[str, Sequence[str]] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        spellings: dict[str, Counter[str]] = {}
        for name in names:
            spellings.setdefault(key(name), Counter())[name] += 1
        self._display = {folded: _best(counts) for folded, counts in spellings.items()}
        self._alias = dict(_by_alias(aliases or {}))
        self._display |= {key(name): name for name in aliases or {}}
        self._groups = {key(group): tuple(map(self.one, members)) for group, members in (groups or {}).items()}

    def one(self, name: str) -> str:
        """Return a single speaker's name, as it is written most often, or as the map of aliases gives it."""
        folded = self._alias.get(key(name), key(name))
        return self._display.get(folded, name)

    def speakers(self, name: str) -> tuple[str, ...]:
        """Return who speaks where a script writes this name: several for a group."""
        folded = key(name)
        if folded in self._groups:
            return self._groups[folded]
        parts = [part for part in _DIVIDER.split(name) if part]
        if folded in self._alias or len(parts) < 2 or not all(self._speaks(part) for part in parts):
            return (self.one(name),)
        return tuple(dict.fromkeys(self.one(part) for part in parts))

    def check(self) -> Iterator[str]:
        """Yield a sentence for each alias that no script writes."""
        for alias, name in self._alias.items():
            if alias not in self._display:
                hint = did_you_mean(alias, self._display.values())
                yield f"dataset.aliases: nobody is called {alias} ({self._display[name]}) in the scripts.{hint}"

    def _speaks(self, part: str) -> bool:
        return key(part) in self._display or key(part) in self._alias


def key(name: str) -> str:
    """Return what two spellings of a name have in common: Mr. Bing, MR BING."""
    return " ".join(name.replace(".", " ").replace("’", "'").split()).casefold()


def is_crowd(name: str) -> bool:
    """Return whether a name stands for whoever is there."""
    return key(name) in CROWDS


def name_lists(value: Any, config_key: str) -> Iterator[str]:
    """Yield a sentence unless a key of the config maps names to names or lists of names."""
    entries = value.items() if isinstance(value, Mapping) else [] if value is None else [(None, None)]
    for name, names in entries:
        if not isinstance(name, str | int) or not isinstance(names, str | list) or not names:
            yield f"{config_key}={value} must give a list of names for each name, as in {{Chandler: [Chan, Mr Bing]}}."
            return


def as_lists(value: Mapping[Any, Any] | None) -> dict[str, list[str]]:
    """Return what `name_lists` accepts, with a list for each name."""
    return {
        str(name): [names] if isinstance(names, str) else list(map(str, names)) for name, names in (value or {}).items()
    }


def _by_alias(aliases: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    found: dict[str, str] = {}
    for name, others in aliases.items():
        for other in others:
            first = found.setdefault(key(other), name)
            if key(first) != key(name):
                raise ConfigError(f"dataset.aliases gives {other} to {first} and to {name}.")
            yield key(other), key(name)


def _best(counts: Counter[str]) -> str:
    """Return the most frequent spelling in mixed case; if there is none, that of `display_name`."""
    ranked = sorted(counts, key=lambda name: (name.isupper(), name.islower(), -counts[name], name))
    return display_name(ranked[0])
