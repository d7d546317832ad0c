"""Read a conversation, as OpenAI's messages, ShareGPT's from and value, or lines of named speakers, as `Turn`s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from persona_sweeps.data.rows.json_files import Broken, JsonDecoder, kind_of
from persona_sweeps.data.rows.row import RowError
from persona_sweeps.data.rows.values import label, whole_text
from persona_sweeps.errors import did_you_mean

ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model", "ai", "bing", "bard", "claude"), "assistant"),
}
"""what formats call a role → our name for it"""
NO_SPEECH = ("tool", "function", "function_call", "tool_call", "tool_response", "observation")
"""what messages by a program are from; they are no dialogue"""
ROLE_KEYS = ("role", "from")
NAME_KEYS = ("name", "speaker", "character")
TEXT_KEYS = ("content", "value", "text", "utterance", "line", "message")
EMPTY = "empty message"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says until another one speaks.

    `number` counts the messages of the conversation from 1, and is that of the turn's first message.
    """

    role: str
    """system, user or assistant; "" where only names are given"""
    name: str | None
    text: str
    number: int


def turns_of(value: Any, key: str, dropped: Counter[str]) -> list[Turn]:
    """Return the turns of a conversation; messages in a row by one speaker are joined, and empty ones dropped.

    A text is taken as JSON, [[…]] as its only inner list. Raises RowError for what is no conversation.
    """
    turns: list[Turn] = []
    for number, message in enumerate(_list_of(value, key), start=1):
        try:
            turn = _turn(message, number)
        except RowError as error:
            raise RowError(f"message {number}: {error}") from None
        if not turn.text.strip():
            dropped[EMPTY] += 1
            continue
        if turns and (turns[-1].role, turns[-1].name) == (turn.role, turn.name):
            turns[-1] = replace(turns[-1], text=f"{turns[-1].text}\n{turn.text}")
        else:
            turns.append(turn)
    return turns


def _list_of(value: Any, key: str) -> Sequence[Any]:
    if isinstance(value, str):
        try:
            value = JsonDecoder().decode(value.strip())[0]
        except Broken as broken:
            raise RowError(f'"{key}" must be a list of messages, and is a text without one ({broken})') from None
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) and not _is_pair(value[0]):
        value = value[0]
    if not isinstance(value, list) or not value:
        raise RowError(f'"{key}" must be a list of messages, not {kind_of(value)}')
    return value


def _is_pair(message: Any) -> bool:
    """Return whether a message is written as ["user", "Who's there?"]."""
    return (
        isinstance(message, list)
        and len(message) == 2
        and all(isinstance(part, str) for part in message)
        and message[0].casefold() in ROLES
    )


def _turn(message: Any, number: int) -> Turn:
    if _is_pair(message):
        message = {"role": message[0], "content": message[1]}
    if not isinstance(message, Mapping):
        raise RowError(f"it must be an object with role and content, not {kind_of(message)}")
    role_key = _present(message, ROLE_KEYS)
    name_key = _present(message, NAME_KEYS)
    text_key = next((key for key in TEXT_KEYS if key in message), None)
    if text_key is None or (role_key is None and name_key is None):
        missing = "content" if text_key is None else "role"
        keys = TEXT_KEYS if text_key is None else (*ROLE_KEYS, *NAME_KEYS)
        unknown = [str(other) for other in message if other not in (*ROLE_KEYS, *NAME_KEYS, *TEXT_KEYS)]
        hint = "".join(f' Is "{other}" meant?' for other in unknown if did_you_mean(other, keys))
        keys_there = ", ".join(map(str, message)) or "no keys"
        raise RowError(f'"{missing}" is missing.{hint or f" It has {keys_there}."}')
    name = label(message[name_key], name_key) if name_key else None
    role = ""
    if role_key == "from" and name is None and _is_speaker(message[role_key]):
        name = message[role_key]
    elif role_key:
        role = _role(message[role_key], role_key)
    return Turn(role, name.strip() if name else None, _text(message[text_key], text_key), number)


def _present(message: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((key for key in keys if message.get(key) is not None), None)


def _is_speaker(value: Any) -> bool:
    """Return whether ShareGPT's `from` holds a speaker's name instead of a role, misspelt or not."""
    known = [*ROLES, *NO_SPEECH]
    return isinstance(value, str) and not get_close_matches(value.strip().casefold(), known, n=1, cutoff=0.8)


def _role(value: Any, key: str) -> str:
    role = ROLES.get(value.strip().casefold()) if isinstance(value, str) else None
    if role is None:
        hint = did_you_mean(value, ROLES) if isinstance(value, str) else ""
        raise RowError(f'{key} "{value}" is none of {", ".join(ROLES)}.{hint}')
    return role


def _text(value: Any, key: str) -> str:
    """Return a message's text: that of its parts where it is written as a list of them, "" for null."""
    if isinstance(value, list):
        parts = []
        for part in value:
            if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
                kind = part.get("type", "no text") if isinstance(part, Mapping) else kind_of(part)
                raise RowError(f'"{key}" has a part that is no text ({kind})')
            parts.append(part["text"])
        value = "\n".join(parts)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(f'"{key}" must be a string, not {kind_of(value)}')
    return whole_text(value, key)
