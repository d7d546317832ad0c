"""Write a persona card as a character card that SillyTavern and its relatives read: JSON, or a PNG that carries it."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from persona_sweeps.data.cards.card_files import PNG, chunks
from persona_sweeps.errors import DataError
from persona_sweeps.records.files import write_bytes

SPECS = {b"chara": ("chara_card_v2", "2.0"), b"ccv3": ("chara_card_v3", "3.0")}
"""a PNG's text chunk → the version of its card"""
PLAIN_SIZE = (400, 600)
"""width and height, in pixels, of the picture of a card that brings none"""
PLAIN_GREY = 96


def character_card(name: str, text: str, lines: Sequence[str] = ()) -> dict[str, Any]:
    """Return a card of version 3.

    `text` is the persona card, and `lines` are a few of the character's own, as examples of speech; neither holds
    macros that a reader may replace.
    """
    example = "".join(f"<START>\n{{{{char}}}}: {line}\n" for line in map(_literal, lines))
    description = text.removeprefix(greeting).strip() if text.startswith(greeting := f"You are {name}.") else text
    texts = {"name": name, "description": _literal(description), "mes_example": example.rstrip()}
    empty = dict.fromkeys(("personality", "scenario", "first_mes", "creator_notes", "system_prompt"), "")
    lists: dict[str, Any] = {"alternate_greetings": [], "group_only_greetings": [], "tags": [], "extensions": {}}
    others = {"post_history_instructions": "", "creator": "", "character_version": ""}
    return _versioned({**empty, **others, **lists, **texts}, b"ccv3")


def _versioned(data: dict[str, Any], keyword: bytes) -> dict[str, Any]:
    spec, version = SPECS[keyword]
    return {"spec": spec, "spec_version": version, "data": data}


def _literal(text: str) -> str:
    """Keep a reader from replacing macros: what was said is said."""
    return text.replace("{{", "{ {")


def write_card(path: Path, card: dict[str, Any], picture: Path | None = None) -> None:
    """Write a card to a .json file, or into a .png file: a copy of `picture`, or a plain one.

    Raises DataError for another kind of file, and for a picture that is no PNG.
    """
    if path.suffix.lower() == ".json":
        write_bytes(path, json.dumps(card, ensure_ascii=False, indent=1).encode() + b"\n")
    elif path.suffix.lower() == ".png":
        write_bytes(path, _with_card(_plain() if picture is None else _read(picture), picture or path, card["data"]))
    else:
        raise DataError(f"{path}: a character card is a .json or a .png file.")


def _read(picture: Path) -> bytes:
    raw = picture.read_bytes()
    if not raw.startswith(PNG):
        raise DataError(f"{picture} is no PNG picture, which alone can carry a card.")
    return raw


def _with_card(raw: bytes, path: Path, data: dict[str, Any]) -> bytes:
    """Return a PNG with the card, in both versions, before its end, in place of any card that it has."""
    kept = [(kind, body) for kind, body in chunks(raw, path) if not _is_card(kind, body)]
    versions = {keyword: json.dumps(_versioned(data, keyword)).encode() for keyword in SPECS}
    cards = [(b"tEXt", keyword + b"\0" + base64.b64encode(content)) for keyword, content in versions.items()]
    return PNG + b"".join(_chunk(kind, body) for kind, body in [*kept[:-1], *cards, *kept[-1:]])


def _is_card(kind: bytes, body: bytes) -> bool:
    return kind == b"tEXt" and body.partition(b"\0")[0].lower() in SPECS


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _plain() -> bytes:
    width, height = PLAIN_SIZE
    rows = (b"\0" + bytes([PLAIN_GREY]) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return PNG + b"".join(_chunk(kind, body) for kind, body in parts)
