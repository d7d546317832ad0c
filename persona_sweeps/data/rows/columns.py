"""Find out which column of a table is the prompt, the completion, the character, …: as the config says, or by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from persona_sweeps.data.rows.row import RowError
from persona_sweeps.errors import ConfigError, did_you_mean

NONE = "none"
"""the name with which the config says that a table has no such column"""
LONG_NAME = 40
"""characters of a column's name in a message: where a table lacks its header, names are texts"""
WHOLE_TEXT = ("text", "script", "story", "transcript")
"""columns that hold the completion, or, where there is no prompt, a whole text"""
USUAL = {
    "messages": ("messages", "conversations", "conversation", "turns"),
    "completion": ("completion", "response", "output", "answer", "reply", "target", "a", *WHOLE_TEXT),
    "prompt": ("prompt", "instruction", "question", "query", "input", "q", "text"),
    "persona": ("persona", "character", "speaker", "author"),
    "cluster": (
        *("cluster", "dialogue", "scene", "episode", "dialogue_id", "conversation_id", "scene_id", "episode_id"),
        *("session", "chapter", "episode_title"),
    ),
    "id": ("id",),
    "system": ("system", "system_prompt", "card"),
}
"""the names of each role's column, the likeliest first; in any case, with spaces or hyphens for underscores"""


@dataclass
class Columns:
    """The keys of `dataset.columns`: a column's name; None to guess it, `none` for no such column.

    `prompt` may be a list of columns, whose texts are joined by blank lines.
    """

    prompt: Any = None
    completion: Any = None
    messages: str | None = None
    persona: str | None = None
    cluster: str | None = None
    id: str | None = None
    system: str | None = None

    def named(self) -> dict[str, tuple[str, ...]]:
        """Return the columns that the config names, by role; no column for `none`."""
        given = {key.name: getattr(self, key.name) for key in fields(self)}
        return {role: _names(value) for role, value in given.items() if value is not None}


@dataclass(frozen=True)
class Layout:
    """The columns of each role in a row."""

    columns: Mapping[str, tuple[str, ...]]
    guessed: frozenset[str]
    whole_text: bool = False

    def column(self, role: str) -> str | None:
        return next(iter(self.columns.get(role, ())), None)

    @property
    def used(self) -> frozenset[str]:
        return frozenset(column for columns in self.columns.values() for column in columns)

    def notes(self, table: str) -> Iterable[str]:
        """Yield a sentence on what was guessed and isn't plain from the columns' names."""
        found = [(role, self.columns[role]) for role in USUAL if role in self.guessed and self.columns.get(role)]
        if unlike := [(role, columns) for role, columns in found if columns != (role,)]:
            pairs = ", ".join(f"{role} = {' + '.join(columns)}" for role, columns in unlike)
            role, columns = unlike[0]
            yield f"{table}: columns guessed: {pairs} (dataset.columns.{role}=… names another, none leaves it out)."
        if self.whole_text:
            yield f"{table}: {self.column('completion')} holds whole texts, which are learned without a prompt."


def layout_of(keys: Sequence[str], columns: Columns) -> Layout:
    """Return the columns of a row with these keys.

    Raises RowError where a column that the config names is missing, and where nothing can be the completion.
    """
    named = columns.named()
    for role in ("prompt", "completion", "messages"):
        for column in named.get(role, ()):
            if column not in keys:
                raise RowError(f'the column "{column}" (dataset.columns.{role}) is missing; it has {_listed(keys)}')
    found = {role: tuple(name for name in names if name in keys) for role, names in named.items()}
    if not named.keys() & {"prompt", "completion"}:
        _guess(("messages",), keys, named, found)
    if not found.get("messages"):
        _guess(("completion", "prompt"), keys, named, found)
        _require(keys, named, found)
    _guess(("persona", "cluster", "id", "system"), keys, named, found)
    whole_text = not found.get("messages") and not found["prompt"]
    return Layout(found, frozenset(found) - frozenset(named), whole_text)


def check_named(columns: Columns, seen: Iterable[str], table: str) -> None:
    """Raise ConfigError for a column of the config that no row of the table has."""
    known = list(dict.fromkeys(seen))
    for role, names in columns.named().items():
        for name in names:
            if name not in known and known:
                hint = did_you_mean(name, known)
                raise ConfigError(
                    f"dataset.columns.{role}={name} is no column of {table}.{hint} There are {_listed(known)}."
                )


def _guess(
    roles: Sequence[str], keys: Sequence[str], named: Mapping[str, object], found: dict[str, tuple[str, ...]]
) -> None:
    """Find the columns of roles that the config doesn't name, among those that aren't used yet."""
    for role in roles:
        if role in named or role in found:
            continue
        if column := _first(USUAL[role], keys, found):
            found[role] = (column,)
            if role == "prompt" and _plain(column) == "instruction" and (more := _first(("input",), keys, found)):
                found[role] = (column, more)


def _first(usual: Sequence[str], keys: Sequence[str], found: Mapping[str, tuple[str, ...]]) -> str | None:
    used = {column for columns in found.values() for column in columns}
    free = {_plain(key): key for key in reversed(keys) if key not in used}
    return next((free[name] for name in usual if name in free), None)


def _require(keys: Sequence[str], named: Mapping[str, object], found: dict[str, tuple[str, ...]]) -> None:
    """Require a completion, and a prompt, unless the config says `none` or the completion is called like a text."""
    completion = found.get("completion", ())
    if "prompt" not in found and completion and _plain(completion[0]) in WHOLE_TEXT:
        found["prompt"] = ()
    for role in ("completion", "prompt"):
        if not found.get(role) and not (role == "prompt" and role in found):
            without = ", or none for whole texts without one" if role == "prompt" else ""
            raise RowError(
                f"no column is called like a {role} ({', '.join(USUAL[role])}); it has {_listed(keys)}: "
                f"name one with dataset.columns.{role}=…{without}"
            )


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def _names(value: Any) -> tuple[str, ...]:
    names = tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
    return () if names == (NONE,) else names


def _listed(keys: Iterable[str]) -> str:
    named = [key if len(key) <= LONG_NAME else f"{key[:LONG_NAME]}…" for key in keys]
    return ", ".join(name or '""' for name in named) or "no columns"
