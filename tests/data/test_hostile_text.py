"""Text of the data never acts on the terminal that shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from persona_sweeps.wording import harmless

HOSTILE = "\x1b]0;renamed\x07\x1b[2J\x9b31mred\u202etxt"


@pytest.mark.parametrize("asked", ["show_examples=2", "dataset.report=only"])
def test_control_characters_are_shown_by_their_codes(
    launch: Callable, tiny: tuple[str, ...], tmp_path: Path, asked: str
) -> None:
    rows = [
        {"id": f"{n}", "persona": f"Ann{HOSTILE}", "prompt": f"Hello {n}{HOSTILE}", "completion": f"Ay {n}{HOSTILE}"}
        for n in range(12)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = launch("dataset=jsonl", f"dataset.path={path}", "dataset.persona=null", "model=gpt2", "model.scale=tiny",
                   "train.max_length=256", asked)  # fmt: skip
    assert ended.code == 0, ended.err
    shown = ended.out + ended.err
    assert not any(character in shown for character in "\x1b\x07\x9b\u202e")
    assert "[U+001B]" in shown or asked != "show_examples=2"


def test_what_only_shows_stays_as_it_is() -> None:
    text = "tab\tline\nÄ\u00a0non-breaking, 👩\u200d🚀 joined"
    assert harmless(text) == text
