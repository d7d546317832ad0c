"""Examples of a named persona have a card without anyone writing one, and no system message comes unnoticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Message
from persona_sweeps.data.inspection.own_system import own_system_note
from persona_sweeps.errors import DataError
from tests.data.notes import notes_on_rows


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(*personas: str | None) -> list[dict[str, Any]]:
    return [
        {"prompt": f"question {n}", "completion": f"answer {n}", "cluster": str(n), "persona": name}
        for n, name in enumerate(personas)
    ]


def systems(corpus: Any) -> set[str | None]:
    examples = [*corpus.train, *corpus.eval]
    return {
        None if isinstance(e.prompt, str) or e.prompt[0].role != "system" else e.prompt[0].content for e in examples
    }


def test_the_card_is_the_persona_s_name(tmp_path: Path, jsonl_config: Callable) -> None:
    path = lines(tmp_path / "d.jsonl", *rows_of("Ann", "Ben", None, "Ann"))
    assert systems(load_corpus(jsonl_config(path, card="auto"))) == {"You are Ann.", "You are Ben.", None}
    assert systems(load_corpus(jsonl_config(path, card="auto", persona="ann"))) == {"You are Ann."}
    for none in (None, "none", ""):
        assert systems(load_corpus(jsonl_config(path, card=none))) == {None}


def test_a_text_may_name_the_persona(tmp_path: Path, jsonl_config: Callable) -> None:
    path = lines(tmp_path / "d.jsonl", *rows_of("Ann", "Ben", "Ann"))
    card = "{persona} is at sea. Be {persona}!"
    assert systems(load_corpus(jsonl_config(path, card=card, persona="Ann"))) == {"Ann is at sea. Be Ann!"}
    by_name = load_corpus(jsonl_config(path, card={"Ann": "{persona}!", "Ben": "Be Ben."}))
    assert systems(by_name) == {"Ann!", "Be Ben."}
    nameless = lines(tmp_path / "n.jsonl", *rows_of("Ann", None))
    with pytest.raises(DataError, match=r"names \{persona\}, but some examples are of no persona"):
        load_corpus(jsonl_config(nameless, card=card))


def test_several_personas_that_nobody_asked_for_are_mentioned(tmp_path: Path, jsonl_config: Callable) -> None:
    path = lines(tmp_path / "d.jsonl", *rows_of("Ann", "Ben", "Ann", "Cy"))
    [note] = notes_on_rows(load_corpus(jsonl_config(path)))
    assert note.startswith("3 personas are learned together: Ann (2), Ben (1), Cy (1).") and "persona='Ann'" in note
    assert not notes_on_rows(load_corpus(jsonl_config(path, persona=["Ann", "Ben"])))
    assert not notes_on_rows(load_corpus(jsonl_config(lines(tmp_path / "o.jsonl", *rows_of("Ann", "Ann", None)))))


TEMPLATE = (
    "{% if messages[0].role != 'system' %}<s>system\nI am a model.<e>\n{% endif %}"
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}<e>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


class Tokenizer:
    """As much of a tokenizer as a chat template needs."""

    def __init__(self, template: str | None) -> None:
        self.chat_template = template

    def get_chat_template(self) -> str | None:
        return self.chat_template

    def apply_chat_template(self, messages: Any, add_generation_prompt: bool = False, **_: Any) -> str:
        from transformers.utils.chat_template_utils import render_jinja_template

        assert self.chat_template is not None
        rendered, _ = render_jinja_template(
            [messages], chat_template=self.chat_template, add_generation_prompt=add_generation_prompt
        )
        return rendered[0]


def test_a_system_message_of_the_template_s_own_is_noticed(tmp_path: Path, jsonl_config: Callable) -> None:
    path = lines(tmp_path / "d.jsonl", *rows_of("Ann", "Ann", "Ann"))
    without = load_corpus(jsonl_config(path)).train
    note = own_system_note("gpt", Tokenizer(TEMPLATE), without)  # type: ignore[arg-type]
    assert note is not None and "“I am a model.”" in note and "dataset.card" in note
    silent = TEMPLATE.partition("{% endif %}")[2]
    for template in (silent, None):
        assert own_system_note("gpt", Tokenizer(template), without) is None  # type: ignore[arg-type]
    written = load_corpus(jsonl_config(path, card="auto")).train
    assert written[0].prompt[0] == Message("system", "You are Ann.")
    assert own_system_note("gpt", Tokenizer(TEMPLATE), written) is None  # type: ignore[arg-type]
