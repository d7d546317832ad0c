"""Read a character card of SillyTavern and its relatives: JSON of version 1, 2 or 3, or a PNG that carries it.

A card is text: it is neither a template nor config. Of its macros {{char}} and {{user}} alone are replaced, once.
Texts that steer a chat program (system_prompt, post_history_instructions, lorebooks, extensions) are left alone.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from persona_sweeps.data.rows.json_files import Broken, JsonDecoder, kind_of
from persona_sweeps.errors import DataError, did_you_mean

LARGEST_FILE = 32 * 2**20
LARGEST_TEXT = 100_000
"""characters of a card; a longer one leaves no room for anything else"""
PNG = b"\x89PNG\r\n\x1a\n"
PLACEHOLDER = "{persona}"
USER = "the user"
"""what {{user}} becomes"""

FIELDS = ("description", "personality", "scenario", "first_mes", "mes_example")
HEADINGS = {"personality": "Personality", "scenario": "Scenario", "mes_example": "Examples of how {name} speaks"}


def card_text(card: str | Mapping[str, str] | None, persona: str | None) -> str | None:
    """Return the text of `dataset.card` for a persona: a text with its name for {persona}, and what a card's file says.

    `card` may give one for each persona; then the persona's name counts in any case. Raises DataError for a file that
    is missing or no card, for a persona that has none, and for {persona} without a persona.
    """
    if isinstance(card, Mapping):
        by_name = {str(name).casefold(): entry for name, entry in card.items()}
        if persona is None or persona.casefold() not in by_name:
            hint = did_you_mean(persona or "", map(str, card))
            raise DataError(f"dataset.card has no card for {persona or 'examples without a persona'}.{hint}")
        card = by_name[persona.casefold()]
    if card and is_card_file(card):
        return read_card(Path(card).expanduser())
    if not card or PLACEHOLDER not in card:
        return card
    if persona is None:
        raise DataError(f"dataset.card={card} names {PLACEHOLDER}, but some examples are of no persona.")
    return card.replace(PLACEHOLDER, persona)


def is_card_file(card: str) -> bool:
    """Return whether a card is the path of a file rather than a text."""
    return "\n" not in card and len(card) < 4096 and card.strip().lower().endswith((".json", ".png"))


def read_card(path: Path) -> str:
    """Return a card's file as the text of a persona card.

    Raises DataError for a file that is missing, too large, broken, or without a character.
    """
    if not path.is_file():
        names = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
        raise DataError(f"dataset.card={path} doesn't exist.{did_you_mean(path.name, names)}")
    if path.stat().st_size > LARGEST_FILE:
        raise DataError(f"{path} is no card: it has more than {LARGEST_FILE // 2**20} MiB.")
    raw = path.read_bytes()
    text = _written(_fields(_of_png(raw, path) if raw.startswith(PNG) else raw, path), path)
    if len(text) > LARGEST_TEXT:
        raise DataError(f"{path} has {len(text)} characters of text; a card may have {LARGEST_TEXT}.")
    return text


def _written(fields: Mapping[str, str], path: Path) -> str:
    name = fields["name"]
    if not name:
        raise DataError(f"{path} is no character card: it gives no name.")
    paragraphs = [f"You are {name}."]
    for field in FIELDS:
        if not fields[field] or field == "first_mes":
            continue
        heading = HEADINGS.get(field)
        paragraphs.append(f"{heading.format(name=name)}:\n{fields[field]}" if heading else fields[field])
    if fields["first_mes"]:
        paragraphs.append(f"{name} begins a conversation like this:\n{fields['first_mes']}")
    return _replaced("\n\n".join(paragraphs), name)


def _replaced(text: str, name: str) -> str:
    """Replace {{char}} and {{user}} (and their older forms <BOT>, <USER>) in one pass, and nothing else."""
    values = {"{{char}}": name, "<bot>": name, "{{user}}": USER, "<user>": USER}
    pattern = r"\{\{(?:char|user)\}\}|<(?:BOT|USER)>"
    text = re.sub(pattern, lambda match: values[match.group().lower()], text, flags=re.I)
    return re.sub(r"^<START>[ \t]*$\n?", "", text, flags=re.M | re.I).replace("\r\n", "\n").strip()


def _fields(raw: bytes, path: Path) -> dict[str, str]:
    """Return the texts of a card: those of `data` in versions 2 and 3, else the object's own."""
    try:
        text = raw.decode("utf-8-sig").strip()
        card, end, _ = JsonDecoder().decode(text)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no card: byte {error.start + 1} isn't UTF-8.") from None
    except Broken as broken:
        raise DataError(f"{path} is no card: bad JSON at character {broken.at + 1}: {broken}.") from None
    if end < len(text) or not isinstance(card, dict):
        raise DataError(f"{path} is no card: it must be one JSON object{_instead(card)}.")
    data = card.get("data", card)
    if not isinstance(data, dict):
        raise DataError(f'{path} is no card: "data" must be an object, not {kind_of(data)}.')
    return {field: _text(data, field, path) for field in ("name", *FIELDS)}


def _instead(card: Any) -> str:
    return "" if isinstance(card, dict) else f", not {kind_of(card)}"


def _text(data: Mapping[str, Any], field: str, path: Path) -> str:
    value = data.get(field)
    if not (value is None or isinstance(value, str)):
        raise DataError(f'{path}: "{field}" must be a string, not {kind_of(value)}.')
    if value and re.search(r"[\ud800-\udfff]", value):
        raise DataError(f'{path}: "{field}" holds half of a character (a lone surrogate such as \\ud83d).')
    return (value or "").strip()


def _of_png(raw: bytes, path: Path) -> bytes:
    """Return the JSON that a PNG carries as base64 in a text chunk: `ccv3` before `chara`."""
    found: dict[bytes, bytes] = {}
    for kind, content in chunks(raw, path):
        keyword, _, text = content.partition(b"\0")
        if kind == b"tEXt" and keyword.lower() in (b"chara", b"ccv3"):
            found[keyword.lower()] = text
    encoded = found.get(b"ccv3") or found.get(b"chara")
    if encoded is None:
        raise DataError(f"{path} is a picture without a card: it has no text chunk chara or ccv3.")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise DataError(f"{path}: its card isn't base64 ({error}).") from None


def chunks(raw: bytes, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the content of each chunk of a PNG. Raises DataError for a broken one."""
    at = len(PNG)
    while at < len(raw):
        if at + 12 > len(raw):
            raise DataError(f"{path} is a broken PNG: it ends inside a chunk.")
        length, kind = struct.unpack_from(">I4s", raw, at)
        content = raw[at + 8 : at + 8 + length]
        check = raw[at + 8 + length : at + 12 + length]
        if len(check) < 4:
            raise DataError(f"{path} is a broken PNG: it ends inside a chunk.")
        if kind == b"tEXt" and zlib.crc32(kind + content) != int.from_bytes(check, "big"):
            raise DataError(f"{path} is a broken PNG: a text chunk doesn't match its checksum.")
        yield kind, content
        if kind == b"IEND":
            return
        at += 12 + length
