"""Check one line of a JSON Lines data file key by key, and turn it into an `Example`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from persona_sweeps.data.example import Example, Message
from persona_sweeps.errors import did_you_mean

CLUSTER_KEYS = ("cluster", "dialogue", "scene", "episode")
KNOWN_KEYS = ("prompt", "completion", "messages", "persona", "id", *CLUSTER_KEYS)
ROLES = ("system", "user", "assistant")


class LineError(ValueError):
    """The reason why a line is no example; the reader of the file adds the line's number."""


def parse_line(raw: bytes, name: str) -> Example:
    """Return the example of one line; `name` is its default id and cluster.

    Prompt and completion may be empty; the caller decides what to do then. Raises `LineError` for bytes that aren't
    UTF-8, bad JSON, missing keys, wrong types, and roles out of order.
    """
    entry = _decoded(raw)
    prompt, completion = _from_messages(entry) if "messages" in entry else _from_pair(entry)
    cluster_key = next((key for key in CLUSTER_KEYS if entry.get(key) is not None), None)
    used = {"prompt", "completion", "messages", "persona", "id", cluster_key}
    return Example(
        id=_label(entry, "id") or name,
        prompt=prompt,
        completion=completion,
        cluster=(_label(entry, cluster_key) if cluster_key else None) or name,
        persona=_label(entry, "persona"),
        metadata={key: value for key, value in entry.items() if key not in used},
    )


def _decoded(raw: bytes) -> Mapping[str, Any]:
    try:
        entry = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise LineError(f"byte {error.start + 1} isn't UTF-8; save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise LineError(f"bad JSON at column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise LineError("JSON nested too deeply") from None
    if not isinstance(entry, dict):
        raise LineError(f"a JSON object is needed, not {_kind(entry)}")
    return entry


def _from_pair(entry: Mapping[str, Any]) -> tuple[str, str]:
    return _text(entry, "prompt"), _text(entry, "completion")


def _from_messages(entry: Mapping[str, Any]) -> tuple[tuple[Message, ...], str]:
    clashing = [key for key in ("prompt", "completion") if key in entry]
    if clashing:
        raise LineError(f'"messages" and "{clashing[0]}" exclude each other')
    turns = entry["messages"]
    if not isinstance(turns, list) or not turns:
        raise LineError(f'"messages" must be a list of messages, not {_kind(turns)}')
    messages = [_message(turn, number) for number, turn in enumerate(turns, start=1)]
    _check_order([message.role for message in messages])
    return tuple(messages[:-1]), messages[-1].content


def _message(turn: Any, number: int) -> Message:
    if not isinstance(turn, dict):
        raise LineError(f"message {number} must be an object with role and content, not {_kind(turn)}")
    try:
        role, content = _text(turn, "role", ("role", "content")), _text(turn, "content", ("role", "content"))
    except LineError as error:
        raise LineError(f"message {number}: {error}") from None
    if role not in ROLES:
        raise LineError(f'message {number}: role "{role}" is none of {", ".join(ROLES)}.{did_you_mean(role, ROLES)}')
    return Message(role, content)


def _check_order(roles: list[str]) -> None:
    """Require an optional system message, then user and assistant in turn, with an assistant last."""
    start = 1 if roles[0] == "system" else 0
    for index, role in enumerate(roles[start:]):
        expected = "assistant" if index % 2 else "user"
        if role != expected:
            raise LineError(f'message {start + index + 1} is by "{role}" where "{expected}" is due')
    if roles[-1] != "assistant":
        raise LineError(f'the last message is by "{roles[-1]}", and it must be by "assistant": it is the completion')


def _text(entry: Mapping[str, Any], key: str, keys: tuple[str, ...] = KNOWN_KEYS) -> str:
    if key not in entry:
        hint = "".join(f' Is "{other}" meant?' for other in entry if did_you_mean(other, [key]) and other not in keys)
        hint = hint or f" It has {', '.join(map(json.dumps, entry)) or 'no keys'}."
        raise LineError(f'"{key}" is missing.{hint}')
    if not isinstance(entry[key], str):
        raise LineError(f'"{key}" must be a string, not {_kind(entry[key])}')
    if re.search(r"[\ud800-\udfff]", entry[key]):
        raise LineError(f'"{key}" holds half of a character (a lone surrogate such as \\ud83d)')
    return entry[key]


def _label(entry: Mapping[str, Any], key: str) -> str | None:
    """Return a name as text; a whole number is a name, too; None for null."""
    value = entry.get(key)
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise LineError(f'"{key}" must be a string or a whole number, not {_kind(value)}')


def _kind(value: Any) -> str:
    kinds = {type(None): "null", bool: "true or false", str: "a string", list: "a list", dict: "an object"}
    return "an empty list" if value == [] else kinds.get(type(value), "a number")
