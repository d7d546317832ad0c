"""Read lines of dialogue from the formats in which corpora of it come, and pair each with the one that it answers.

- `qa`: a row has both, `character, q, a`.
- `quotes`: a row is a line, with author, quote, episode and order; consecutive ones are paired.
- `convokit`: an utterance names the one that it replies to (`reply_to`, earlier `reply-to`).
- `emory`: JSON of seasons, episodes, scenes and utterances, whose `speakers` may be several or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from persona_sweeps.data.rows.json_files import kind_of
from persona_sweeps.data.rows.row import Row, RowError
from persona_sweeps.data.rows.values import label, text_of

FORMATS = ("auto", "qa", "quotes", "convokit", "emory")
USUAL: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "qa": {
        "q": ("q", "question"),
        "a": ("a", "answer"),
        "author": ("character", "persona", "author", "speaker"),
        "scene": ("scene", "scene_id", "episode", "episode_id", "episode_title", "dialogue", "conversation_id"),
    },
    "convokit": {
        "text": ("text",),
        "author": ("speaker", "user"),
        "reply": ("reply_to",),
        "id": ("id",),
        "scene": ("conversation_id", "root"),
    },
    "emory": {"inside": ("episodes", "scenes", "utterances", "seasons")},
    "quotes": {
        "text": ("quote", "line", "text", "utterance_text"),
        "author": ("author", "character", "speaker"),
        "season": ("season", "season_number"),
        "episode": ("episode_number", "episode", "episode_id", "episode_title"),
        "scene": ("scene", "scene_id", "scene_number"),
        "order": ("order", "quote_order", "line_number", "utterance"),
    },
}
"""the names of each format's columns, the likeliest first, in any case, with spaces or hyphens for underscores"""
REQUIRED = {"qa": ("q", "a"), "convokit": ("text", "reply"), "emory": ("inside",), "quotes": ("text", "author")}


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody says. `answers` is the id of what it answers, if its format says so; `asked` that text itself."""

    id: str
    scene: str
    speakers: tuple[str, ...]
    text: str
    answers: str | None = None
    asked: str | None = None
    order: float = 0.0
    """among the lines of its scene"""


def format_of(row: Row) -> str:
    """Return the format of a table by a row of it. Raises RowError, with the columns of each format, for another."""
    for name, needed in REQUIRED.items():
        if {*needed} <= columns_of(row.values, name).keys():
            return name
    listing = ", ".join(key or '""' for key in row.values) or "no columns"
    raise RowError(
        f"it has {listing}, but pairs are read from q and a; from author, quote, episode and order; from ConvoKit's "
        "text, speaker and reply_to; or from Emory's episodes, scenes and utterances. dataset=table reads other columns"
    )


def columns_of(keys: Iterable[str], name: str) -> dict[str, str]:
    """Return the column of each role that a row has."""
    plain = {key.strip().casefold().replace(" ", "_").replace("-", "_"): key for key in reversed(list(keys))}
    roles = USUAL[name].items()
    return {role: plain[found] for role, usual in roles if (found := next((n for n in usual if n in plain), None))}


def lines_of(row: Row, name: str, prefix: str) -> Iterator[Line]:
    """Yield the lines of a row. Raises RowError for what is missing or of the wrong type."""
    columns = columns_of(row.values, name)
    if missing := [role for role in REQUIRED[name] if role not in columns]:
        raise RowError(f'"{USUAL[name][missing[0]][0]}" is missing')
    if name == "emory":
        yield from _inside(row.values, (), prefix)
        return
    values = {role: row.values.get(column) for role, column in columns.items()}
    identity = prefix + ((label(values.get("id"), "id") if name == "convokit" else None) or row.name)
    text = text_of(values.get("a" if name == "qa" else "text"), columns["a" if name == "qa" else "text"]).strip()
    line = Line(identity, _scene(values, columns, identity, name), _speakers(values.get("author"), columns), text)
    if name == "qa":
        line = replace(line, asked=text_of(values["q"], columns["q"]).strip())
    elif name == "convokit" and (reply := label(values["reply"], columns["reply"])):
        line = replace(line, answers=prefix + reply)
    elif name == "quotes" and "order" in columns:
        line = replace(line, order=_order(values["order"], columns["order"]))
    yield line


def in_order(lines: Sequence[Line]) -> list[Line]:
    """Return lines as they are spoken: scenes as they come, and there by `order`, where there is one."""
    scenes = {line.scene: number for number, line in reversed(list(enumerate(lines)))}
    return sorted(lines, key=lambda line: (scenes[line.scene], line.order))


def _order(value: Any, column: str) -> float:
    if value in (None, ""):
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        raise RowError(f'"{column}" must be a number, not {value!r}') from None


def _scene(values: Mapping[str, Any], columns: Mapping[str, str], identity: str, name: str) -> str:
    roles = ("season", "episode", "scene") if name == "quotes" else ("scene",)
    parts = [label(values.get(role), columns.get(role, role)) for role in roles]
    found = "/".join(part.strip() for part in parts if part)
    return found or ("" if name == "quotes" else identity)


def _speakers(value: Any, columns: Mapping[str, str]) -> tuple[str, ...]:
    """Return the speaker: a name, or an object with an id, as ConvoKit writes it; nobody for null."""
    if isinstance(value, Mapping):
        value = value.get("id") or value.get("name")
    name = label(value, columns.get("author", "author"))
    return (name.strip(),) if name and name.strip() else ()


def _inside(entry: Mapping[str, Any], path: tuple[str, ...], prefix: str) -> Iterator[Line]:
    """Yield the utterances of a season, episode or scene."""
    for inner, number_key in (("seasons", "season_id"), ("episodes", "episode_id"), ("scenes", "scene_id")):
        if inner in entry:
            for number, part in enumerate(_objects(entry[inner], inner), start=1):
                name = label(part.get(number_key), number_key) or f"{inner[:-1]}-{number}"
                yield from _inside(part, (*path, name), prefix)
            return
    scene = label(entry.get("scene_id"), "scene_id") or "/".join(path) or "scene"
    for number, utterance in enumerate(_objects(entry.get("utterances"), "utterances"), start=1):
        identity = label(utterance.get("utterance_id"), "utterance_id") or f"{scene}/{number}"
        text = text_of(utterance.get("transcript"), "transcript").strip()
        speakers = utterance.get("speakers") or []
        if not isinstance(speakers, list):
            raise RowError(f'"speakers" of {identity} must be a list, not {kind_of(speakers)}')
        names = [label(speaker, "speakers") for speaker in speakers]
        spoken_by = tuple(name.strip() for name in names if name and name.strip())
        yield Line(prefix + identity, prefix + scene, spoken_by, text)


def _objects(value: Any, key: str) -> Sequence[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise RowError(f'"{key}" must be a list of objects, not {kind_of(value)}')
    return value
