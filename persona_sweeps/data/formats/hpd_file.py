"""Read files of the Harry Potter Dialogue format: sessions, each a dialogue with what is known of its speakers.

    {"Session-16": {"position": "Book1-chapter5", "speakers": ["Hagrid", "Harry"], "scene": ["The hut on the rock."],
      "dialogue": ["Hagrid: Sit down.", "Harry: Who are you?"], "attributes": {"Harry": {"Age": "11"}},
      "relations with Harry": {"Hagrid": {"friend": 1, "Harry's affection to him": 5}},
      "positive_response": "Harry: I don't know.", "negative_response_1": "Go away."}}

The sessions may also be a list. Keys are read in any case, and commas before a closing bracket are no error.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from persona_sweeps.errors import DataError, did_you_mean

KEYS = ("position", "speakers", "scene", "dialogue", "attributes", "positive response")
ALPACA = ("instruction", "input", "output")
SHOWN_ERRORS = 5
NAME = re.compile(r"[^\W_][\w.'’()&/-]*(?: [\w.'’()&/-]+){0,3}")
"""what may be a speaker's name: up to four words"""


@dataclass(frozen=True, slots=True)
class Line:
    """What one speaker says; `number` counts the lines of the dialogue from 1."""

    speaker: str
    text: str
    number: int


@dataclass(frozen=True, slots=True)
class Session:
    """One dialogue. `hero` is the character whom the relations are with; "" where the session names none."""

    name: str
    position: str
    scene: str
    lines: tuple[Line, ...]
    hero: str
    attributes: Mapping[str, Mapping[str, Any]]
    relations: Mapping[str, Mapping[str, Any]]
    response: Line | None
    negatives: tuple[str, ...]


@dataclass(slots=True)
class Found:
    """The sessions of a file, how many lines and sessions were left out, by reason, and what the user should know."""

    sessions: list[Session]
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


class SessionError(ValueError):
    """The reason why a session can't be read; the reader of the file adds its name and line."""


def read_sessions(path: Path) -> Found:
    """Return the sessions of a file, in its order. Raises DataError with the first bad ones, by line."""
    text = _decoded(path)
    found = Found([])
    errors = []
    for name, entry in _entries(_parsed(text, path, found.notes), path):
        try:
            session = _session(name, entry, found.dropped)
        except SessionError as error:
            errors.append(f"{path}, line {_line_of(text, name)}, {name}: {error}")
            continue
        if session.lines:
            found.sessions.append(session)
        else:
            found.dropped["session without a line"] += 1
    if errors:
        more = f"\n… and {len(errors) - SHOWN_ERRORS} more." if len(errors) > SHOWN_ERRORS else ""
        plural = "s are" if len(errors) > 1 else " is"
        raise DataError(f"{len(errors)} session{plural} not valid:\n" + "\n".join(errors[:SHOWN_ERRORS]) + more)
    return found


def plain_key(key: str) -> str:
    """Return a key in lower case, with spaces for its hyphens and underscores."""
    return " ".join(re.split(r"[\s_-]+", key.replace("’", "'").casefold().strip()))


def _decoded(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} isn't UTF-8 text (byte {error.start + 1}); save it as UTF-8.") from None


def _parsed(text: str, path: Path, notes: list[str]) -> Any:
    """Return the file's JSON. A key that stands twice in one object gets a number, so that nothing is lost."""

    def kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts: Counter[str] = Counter()
        result = {}
        for key, value in pairs:
            counts[key] += 1
            name = key if counts[key] == 1 else f"{key} ({counts[key]})"
            if name != key and not plain_key(key).startswith("negative"):
                notes.append(f'{path} has the key "{key}" twice in one object; the other is read as "{name}".')
            result[name] = value
        return result

    try:
        return json.loads(_without_trailing_commas(text), strict=False, object_pairs_hook=kept)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}, column {error.colno}: bad JSON: {error.msg}.") from None
    except (RecursionError, ValueError) as error:  # or a number with thousands of digits
        reason = "the JSON is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
        raise DataError(f"{path}: {reason}.") from None


def _without_trailing_commas(text: str) -> str:
    """Replace the commas before a closing bracket by spaces, except in strings, so that lines keep their numbers."""
    pattern = r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])'
    return re.sub(pattern, lambda match: " " if match[0] == "," else match[0], text, flags=re.DOTALL)


def _entries(content: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the sessions with their names: the keys of an object, or numbers in a list."""
    if isinstance(content, dict) and not any(plain_key(key) in ("dialogue", *ALPACA) for key in content):
        yield from content.items()
        return
    if not isinstance(content, list | dict):
        raise DataError(f"{path} must be a JSON object or list of sessions.")
    for number, entry in enumerate(content if isinstance(content, list) else [content], start=1):
        if isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry.values())), dict):
            yield from entry.items()
            continue
        named = next((v for k, v in entry.items() if plain_key(k) in ("session", "id")), None) if _is(entry) else None
        yield str(named) if isinstance(named, str | int) else f"session-{number}", entry


def _is(entry: Any) -> bool:
    return isinstance(entry, dict)


def _session(name: str, entry: Any, dropped: Counter[str]) -> Session:
    if not isinstance(entry, dict):
        raise SessionError(f"a session must be a JSON object, not {type(entry).__name__}.")
    keys = {plain_key(key): value for key, value in entry.items()}
    if "dialogue" not in keys:
        raise SessionError(_without_dialogue(entry, keys))
    hero_key = next((key for key in entry if plain_key(key).startswith("relations with ")), None)
    hero = " ".join(hero_key.replace("_", " ").split()[2:]) if hero_key else ""
    speakers = _texts(keys.get("speakers"), "speakers")
    names = {name.casefold(): name for name in [*speakers, *([hero] if hero else [])]}
    speaker, said = spoken("\n".join(_texts(keys.get("positive response"), "positive_response")), names)
    if "positive response" in keys and not said:
        dropped["empty positive response"] += 1
    negatives = [text for key in keys if key.startswith("negative") for text in _texts(keys[key], key)]
    return Session(
        name,
        position=" ".join(_texts(keys.get("position"), "position")),
        scene=" ".join(" ".join(_texts(keys.get("scene"), "scene")).split()),
        lines=tuple(_lines(_texts(keys["dialogue"], "dialogue"), names, dropped)),
        hero=hero,
        attributes=_people(keys.get("attributes"), "attributes"),
        relations=_people(entry[hero_key] if hero_key else None, "relations"),
        response=Line(names.get(speaker.casefold(), hero), said, 0) if said else None,
        negatives=tuple(said for text in negatives if (said := spoken(text, names)[1])),
    )


def _without_dialogue(entry: Mapping[str, Any], keys: Mapping[str, Any]) -> str:
    if any(key in keys for key in ALPACA):
        return "it has the keys of an instruction file; dataset=table reads those."
    near = next((key for key in entry if did_you_mean(plain_key(key), ["dialogue"])), None)
    hint = f' Is "{near}" meant?' if near else f" It has {', '.join(entry) or 'no keys'}."
    return f'"dialogue" is missing.{hint}'


def _lines(texts: list[str], known: Mapping[str, str], dropped: Counter[str]) -> Iterator[Line]:
    """Yield the lines; one without a speaker's name belongs to the line before, or to nobody at the beginning.

    `known` has the speakers' names by their lower case.
    """
    held: Line | None = None
    pieces = [(index, piece) for text in texts for index, piece in enumerate(text.splitlines())]
    for number, (index, piece) in enumerate(pieces, start=1):
        speaker, said = spoken(piece, known, guess=index == 0)
        if not said:
            dropped["line without words"] += 1
        elif speaker or held is None:
            if held:
                yield held
            held = Line(known.get(speaker.casefold(), speaker), said, number)
        else:
            held = Line(held.speaker, f"{held.text}\n{said}", held.number)
    if held:
        yield held


def spoken(text: str, known: Collection[str], guess: bool = False) -> tuple[str, str]:
    """Return speaker and words of `Harry: Well: no.`; the speaker is "" if no name stands before the first colon.

    `known` are names in lower case. `guess` also takes other short texts for names, since lists of speakers have gaps.
    """
    match = re.match(r"([^:：]+)[:：](.*)", text, re.DOTALL)
    name = match[1].strip() if match else ""
    if match and (name.casefold() in known or (guess and NAME.fullmatch(name))):
        return name, match[2].strip()
    return "", text.strip()


def _texts(value: Any, key: str) -> list[str]:
    """Return a text or a list of texts as a list; numbers are texts, too."""
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
    texts = []
    for item in items:
        if item is None:
            continue
        if not isinstance(item, str | int | float):
            raise SessionError(f'"{key}" must hold texts, not {type(item).__name__}.')
        if re.search(r"[\ud800-\udfff]", str(item)):
            raise SessionError(f'"{key}" holds half of a character (a lone surrogate such as \\ud83d).')
        texts.append(str(item))
    return texts


def _people(value: Any, key: str) -> dict[str, dict[str, Any]]:
    """Return what is said of each speaker: texts, and the numbers of the relations, by key."""
    if not value:
        return {}
    if not (isinstance(value, dict) and all(isinstance(facts, dict | None) for facts in value.values())):
        raise SessionError(f'"{key}" must be an object with an object for each speaker.')
    return {
        name: {fact: ", ".join(text for text in _texts(content, fact) if text) for fact, content in facts.items()}
        for name, facts in value.items()
        if facts
    }


def _line_of(text: str, name: str) -> int:
    """Return the line on which a session's name stands, or 1."""
    return text.count("\n", 0, max(0, text.find(json.dumps(name, ensure_ascii=False)))) + 1
