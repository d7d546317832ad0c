"""A model's folder in which something is missing or broken: one sentence says what, before anything is trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.models.tiny import tiny_model
from persona_sweeps.models.tiny_tokenizer import tiny_tokenizer

SMALL = ("train.max_steps=1", "dataset.limit=12", "dataset.eval_limit=3", "metrics=likelihood", "train.max_length=512")


@pytest.fixture
def whole(compose_card: Callable[..., ModelConfig], tmp_path: Path) -> Path:
    folder = tmp_path / "whole"
    card = compose_card("smollm2_135m_instruct", "scale=tiny")
    tiny_model(card).save_pretrained(folder)
    tiny_tokenizer(card).save_pretrained(folder)
    return folder


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


def without_tokenizer(folder: Path) -> None:
    for path in [*folder.glob("tokenizer*"), *folder.glob("*.jinja")]:
        path.unlink()


BROKEN = {
    "no tokenizer": (without_tokenizer, "mine has no tokenizer (tokenizer.json, tokenizer.model"),
    "no vocabulary": (write("tokenizer.json", '{"garbage": 1}'), "can't be read (KeyError: 'added_tokens'): write or"),
    "a cut vocabulary": (write("tokenizer.json", '{"version": "1.0", "add'), "the tokenizer of "),
    "an open block": (write("chat_template.jinja", "{% for m in messages %}\n{{ m.content }}"), ", line 2 is broken: "),
    "no such field": (
        write("chat_template.jinja", "{% for m in messages %}{{ m.content.a.b }}{% endfor %}"),
        "is broken: 'str object' has no attribute 'a'. Mend chat_template.jinja",
    ),
    "refusal": (
        write("chat_template.jinja", "{{ raise_exception('nobody may speak') }}"),
        "The model's chat template refuses messages by user, assistant: nobody may speak.",
    ),
    "a cut config": (write("config.json", '{"model_type": "lla'), "config.json can't be read: Unterminated string"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", BROKEN)
def test_it_is_one_sentence_and_nothing_starts(launch: Callable, whole: Path, tmp_path: Path, what: str) -> None:
    spoil, sentence = BROKEN[what]
    folder = shutil.copytree(whole, tmp_path / "mine")
    spoil(folder)
    for plan in ("plan=only", "plan=run"):
        ended = launch("model=auto", f"model.hub_id={folder}", *SMALL, plan)
        assert ended.code == 1 and sentence in ended.err, ended.err
        assert ended.err.startswith("error: ") and "Traceback" not in ended.err and ended.err.count("\n") == 1
    assert not list(tmp_path.glob("multirun_outputs/runs/*"))


@pytest.mark.slow
def test_a_broken_template_can_be_done_without(launch: Callable, whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "mine")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}")
    assert launch("model=auto", f"model.hub_id={folder}", *SMALL, "dataset.template=raw").code == 0
