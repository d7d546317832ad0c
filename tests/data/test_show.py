"""Shown examples: what is under loss can be told in a pipe and on a terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from persona_sweeps.config.schema import RunConfig, TrainConfig
from persona_sweeps.data.inspection.show import show_examples
from persona_sweeps.data.prepare import prepare
from persona_sweeps.data.sources.jsonl import Jsonl
from persona_sweeps.prediction.references.untuned import Untuned

Show = Callable[..., str]


@pytest.fixture
def show(
    tmp_path: Path, own_cache: Path, jsonl_config: Callable[..., Jsonl], make_tokenizer: Callable[..., Any]
) -> Show:
    path = tmp_path / "d.jsonl"
    lines = [{"prompt": f"[bold]Who {n}?[/bold]", "completion": "Nay [red]— é[/]"} for n in range(5)]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")

    def shown(n: int = 1, terminal: bool = False, **changes: Any) -> str:
        tokenizer = make_tokenizer("chatml")
        config = RunConfig(peft=Untuned(), dataset=jsonl_config(path, **changes), train=TrainConfig(max_length=500))
        stream = io.StringIO()
        colours = "standard" if terminal else None
        console = Console(file=stream, width=100, force_terminal=terminal, color_system=colours)
        show_examples(prepare(config, tokenizer, "t"), tokenizer, n, console)
        return stream.getvalue()

    return shown


def test_plain_text_marks_the_loss_and_keeps_markup_and_special_tokens(show: Show) -> None:
    text = show()
    assert "⟦Nay [red]— é[/]<|im_end|>⟧" in text
    assert "<|im_start|>user\n[bold]Who " in text
    assert "4 training examples, 1 evaluation examples." in text
    assert "Left out: 1 × blank line." in text
    assert "\x1b" not in text


def test_all_tokens_under_loss_start_after_the_first(show: Show) -> None:
    assert "<|im_start|>⟦user\n" in show(loss_on="all_tokens")


def test_a_terminal_gets_underlines_too(show: Show) -> None:
    assert "\x1b[4;32m" in show(terminal=True)


def test_asking_for_more_than_there_is_shows_all(show: Show) -> None:
    assert show(n=99).count("prompt tokens") == 4
    assert show(n=0).count("prompt tokens") == 0
