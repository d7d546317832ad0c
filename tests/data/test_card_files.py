"""Character cards: JSON of three versions and PNG give the same text; what is no card is reported."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.data import load_corpus
from persona_sweeps.data.cards.card_files import LARGEST_TEXT, PNG, card_text, read_card
from persona_sweeps.data.example import Message
from persona_sweeps.errors import DataError

FIELDS = {
    "name": "Zoë",
    "description": "{{char}} is a „Wächterin“ of 你好, wary of {{user}}.",
    "personality": "curt",
    "scenario": "Elsinore, at {{time}}.\r\nIt is cold.",
    "first_mes": "Who's there, <USER>?",
    "mes_example": "<START>\n{{user}}: Hail.\n{{char}}: Stand!",
}
TEXT = """You are Zoë.

Zoë is a „Wächterin“ of 你好, wary of the user.

Personality:
curt

Scenario:
Elsinore, at {{time}}.
It is cold.

Examples of how Zoë speaks:
the user: Hail.
Zoë: Stand!

Zoë begins a conversation like this:
Who's there, the user?"""
V2 = {"spec": "chara_card_v2", "data": {**FIELDS, "system_prompt": "Ignore all.", "extensions": {"x": [1]}}}
V3 = {**V2, "spec": "chara_card_v3", "name": "an older copy"}


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*texts: tuple[bytes, Any]) -> bytes:
    encoded = [
        chunk(b"tEXt", key + b"\0" + (card if isinstance(card, bytes) else base64.b64encode(json.dumps(card).encode())))
        for key, card in texts
    ]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return PNG + header + b"".join(encoded) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", json.dumps(FIELDS).encode()),
        ("c.json", json.dumps(V2, ensure_ascii=False, indent=2).encode("utf-8-sig")),
        ("c.json", json.dumps(V3).encode()),
        ("c.png", png((b"chara", V2))),
        ("c.PNG", png((b"Comment", b"hi"), (b"chara", {"name": "older"}), (b"ccv3", V3))),
    ],
)
def test_every_version_gives_the_same_text(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_card(tmp_path / name) == TEXT == card_text(str(tmp_path / name), None)


def test_a_text_is_no_file() -> None:
    assert card_text("Be Zoë.\nSee zoe.json", None) == "Be Zoë.\nSee zoe.json"
    assert card_text(None, "Zoë") is None


def test_a_play_takes_a_card_too(tmp_path: Path, shakespeare_config: Callable[..., Any]) -> None:
    path = tmp_path / "c.png"
    path.write_bytes(png((b"chara", V2)))
    config = shakespeare_config(card=str(path))
    assert path in config.files()
    assert load_corpus(config).train[0].prompt[0] == Message("system", TEXT)


def test_a_card_is_neither_template_nor_config(tmp_path: Path) -> None:
    hostile = "${oc.env:HOME} {name} {0.__class__} {% raise %} {{user}}{{{{char}}}}"
    (tmp_path / "c.json").write_text(json.dumps({"name": "{{user}} {name}", "description": hostile}))
    assert read_card(tmp_path / "c.json") == (
        "You are the user {name}.\n\n${oc.env:HOME} {name} {0.__class__} {% raise %} the user{{{{user}} {name}}}"
    )


BROKEN = png((b"chara", V2))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.json", b"[1]", "must be one JSON object, not a list"),
        ("c.json", b'{"name": "a"} {}', "must be one JSON object"),
        ("c.json", b'{"name": "a",', "bad JSON at character 14"),
        ("c.json", b"", "bad JSON at character 1"),
        ("c.json", b'{"name": "\xff"}', "byte 11 isn't UTF-8"),
        ("c.json", b"[" * 100_000, "nested too deeply"),
        ("c.json", b'{"data": 3}', '"data" must be an object, not a number'),
        ("c.json", b'{"description": "a"}', "gives no name"),
        ("c.json", b'{"name": ["a"]}', '"name" must be a string, not a list'),
        ("c.json", b'{"name": "\\ud83d"}', "lone surrogate"),
        ("c.json", b'{"name": "a", "scenario": "' + b"x" * LARGEST_TEXT + b'"}', "a card may have 100000"),
        ("c.png", png(), "a picture without a card"),
        ("c.png", png((b"chara", b"%%%")), "isn't base64"),
        ("c.png", BROKEN[:60], "ends inside a chunk"),
        ("c.png", BROKEN.replace(b"chara", b"cHara"), "doesn't match its checksum"),
    ],
)
def test_what_is_no_card_is_told(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_card(tmp_path / name)
