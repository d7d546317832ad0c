"""Character cards that are written: every reader of ours gets the same text back, and pictures stay pictures."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.data.cards.card_files import PNG, chunks, read_card
from persona_sweeps.data.cards.writing import character_card, write_card
from persona_sweeps.errors import DataError

CARD = "You are Hamlet.\nPrince of Denmark → „Zögerer“."
READ = (
    "You are Hamlet.\n\nPrince of Denmark → „Zögerer“.\n\nExamples of how Hamlet speaks:\nHamlet: Words, words, words."
)


@pytest.mark.parametrize("name", ["card.json", "card.png"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    write_card(tmp_path / name, character_card("Hamlet", CARD, ["Words, words, words."]))
    assert read_card(tmp_path / name) == READ


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).map(str.strip).filter(bool))
def test_any_text_comes_back_after_the_name(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("card") / "card.json"
    write_card(path, character_card("Zoë", f"You are Zoë. {text}"))
    assert read_card(path).endswith(text.replace("{{", "{ {")) or "<" in text


def test_what_was_said_is_no_macro(tmp_path: Path) -> None:
    write_card(tmp_path / "card.json", character_card("Zoë", "She says {{user}} and {{char}}."))
    assert "{ {user}} and { {char}}" in read_card(tmp_path / "card.json")


def test_a_picture_keeps_its_pixels_and_loses_its_earlier_card(tmp_path: Path) -> None:
    write_card(tmp_path / "old.png", character_card("Ophelia", "A maid."))
    write_card(tmp_path / "new.png", character_card("Hamlet", CARD), tmp_path / "old.png")
    assert read_card(tmp_path / "new.png").startswith("You are Hamlet.")
    pictures = [
        [(kind, body) for kind, body in chunks((tmp_path / name).read_bytes(), tmp_path) if kind != b"tEXt"]
        for name in ("old.png", "new.png")
    ]
    assert pictures[0] == pictures[1]
    from PIL import Image

    with Image.open(tmp_path / "new.png") as image:
        image.load()
        assert image.size == (400, 600) and {"chara", "ccv3"} <= set(image.info)


def test_a_png_has_the_card_in_both_versions(tmp_path: Path) -> None:
    import base64

    write_card(tmp_path / "card.png", character_card("Hamlet", CARD))
    found = {}
    for kind, body in chunks((tmp_path / "card.png").read_bytes(), tmp_path):
        if kind == b"tEXt":
            keyword, _, text = body.partition(b"\0")
            found[keyword] = json.loads(base64.b64decode(text))
    assert (found[b"chara"]["spec"], found[b"ccv3"]["spec"]) == ("chara_card_v2", "chara_card_v3")
    assert found[b"chara"]["data"] == found[b"ccv3"]["data"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a .json or a .png"):
        write_card(tmp_path / "card.txt", character_card("Hamlet", CARD))
    (tmp_path / "photo.png").write_bytes(b"\xff\xd8" + struct.pack(">I", 4))
    with pytest.raises(DataError, match="is no PNG picture"):
        write_card(tmp_path / "card.png", character_card("Hamlet", CARD), tmp_path / "photo.png")
    (tmp_path / "cut.png").write_bytes(PNG + b"\0\0")
    with pytest.raises(DataError, match="broken PNG"):
        write_card(tmp_path / "card.png", character_card("Hamlet", CARD), tmp_path / "cut.png")
    assert not (tmp_path / "card.png").exists()
