"""Check one object of a JSON Lines data file key by key, and turn it into an `Example`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.rows.files import kind_of
from persona_sweeps.data.rows.row import RowError
from persona_sweeps.data.rows.values import label, whole_text
from persona_sweeps.errors import did_you_mean

CLUSTER_KEYS = ("cluster", "dialogue", "scene", "episode")
KNOWN_KEYS = ("prompt", "completion", "messages", "persona", "id", *CLUSTER_KEYS)
ROLES = ("system", "user", "assistant")


def parse_line(entry: Mapping[str, Any], name: str) -> Example:
    """Return the example of one line; `name` is its default id and cluster.

    Prompt and completion may be empty; the caller decides what to do then. Raises `RowError` for missing keys, wrong
    types, and roles out of order.
    """
    prompt, completion = _from_messages(entry) if "messages" in entry else _from_pair(entry)
    cluster_key = next((key for key in CLUSTER_KEYS if entry.get(key) is not None), None)
    used = {"prompt", "completion", "messages", "persona", "id", cluster_key}
    return Example(
        id=label(entry.get("id"), "id") or name,
        prompt=prompt,
        completion=completion,
        cluster=(label(entry[cluster_key], cluster_key) if cluster_key else None) or name,
        persona=label(entry.get("persona"), "persona"),
        metadata={key: value for key, value in entry.items() if key not in used},
    )


def _from_pair(entry: Mapping[str, Any]) -> tuple[str, str]:
    return _text(entry, "prompt"), _text(entry, "completion")


def _from_messages(entry: Mapping[str, Any]) -> tuple[tuple[Message, ...], str]:
    clashing = [key for key in ("prompt", "completion") if key in entry]
    if clashing:
        raise RowError(f'"messages" and "{clashing[0]}" exclude each other')
    turns = entry["messages"]
    if not isinstance(turns, list) or not turns:
        raise RowError(f'"messages" must be a list of messages, not {kind_of(turns)}')
    messages = [_message(turn, number) for number, turn in enumerate(turns, start=1)]
    _check_order([message.role for message in messages])
    return tuple(messages[:-1]), messages[-1].content


def _message(turn: Any, number: int) -> Message:
    if not isinstance(turn, dict):
        raise RowError(f"message {number} must be an object with role and content, not {kind_of(turn)}")
    try:
        role, content = _text(turn, "role", ("role", "content")), _text(turn, "content", ("role", "content"))
    except RowError as error:
        raise RowError(f"message {number}: {error}") from None
    if role not in ROLES:
        raise RowError(f'message {number}: role "{role}" is none of {", ".join(ROLES)}.{did_you_mean(role, ROLES)}')
    return Message(role, content)


def _check_order(roles: list[str]) -> None:
    """Require an optional system message, then user and assistant in turn, with an assistant last."""
    start = 1 if roles[0] == "system" else 0
    for index, role in enumerate(roles[start:]):
        expected = "assistant" if index % 2 else "user"
        if role != expected:
            raise RowError(f'message {start + index + 1} is by "{role}" where "{expected}" is due')
    if roles[-1] != "assistant":
        raise RowError(f'the last message is by "{roles[-1]}", and it must be by "assistant": it is the completion')


def _text(entry: Mapping[str, Any], key: str, keys: tuple[str, ...] = KNOWN_KEYS) -> str:
    if key not in entry:
        hint = "".join(f' Is "{other}" meant?' for other in entry if did_you_mean(other, [key]) and other not in keys)
        hint = hint or f" It has {', '.join(map(json.dumps, entry)) or 'no keys'}."
        raise RowError(f'"{key}" is missing.{hint}')
    if not isinstance(entry[key], str):
        raise RowError(f'"{key}" must be a string, not {kind_of(entry[key])}')
    return whole_text(entry[key], key)
