"""What is shown while a sweep runs: short names, and how far an evaluation is."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console as Terminal

from persona_sweeps.planning import console as module
from persona_sweeps.planning.console import Console, short_labels


def test_a_run_is_called_by_what_tells_it_from_the_others() -> None:
    names = ["gpt2-tiny-lora-r8-lr1e-05-ann-s0", "gpt2-tiny-lora-r8-lr1e-06-ann-s0", "gpt2-tiny-none"]
    assert list(short_labels(names).values()) == ["lora-r8-lr1e-05-ann-s0", "lora-r8-lr1e-06-ann-s0", "none"]
    assert list(short_labels(names[:2]).values()) == ["lr1e-05", "lr1e-06"]


@pytest.mark.parametrize("names", [["gpt2-lora-s0"], ["a-b", "a-b-c"], ["a-b", "b-a"], []])
def test_a_name_stays_whole_where_nothing_would_be_left_of_it(names: list[str]) -> None:
    assert short_labels(names) == dict(zip(names, names, strict=True))


def test_an_evaluation_says_now_and_then_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    console = Console(Terminal(file=out, width=80))
    console.answered("texts", 5, 10, "")
    monkeypatch.setattr(module, "LINE_EVERY", 0.0)
    with console.evaluating(2):
        console.answered("likelihoods", 0, 8, "passes")
        console.answered("likelihoods", 3, 8, "passes")
        monkeypatch.setattr(module, "LINE_EVERY", 1e9)
        console.answered("likelihoods", 4, 8, "passes")
    console.answered("texts", 6, 10, "")
    assert out.getvalue().splitlines() == [
        "Evaluating 2 runs on held-out examples …",
        "  likelihoods: 3 of 8 passes",
    ]


def test_an_evaluation_says_how_long_it_still_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 10_000, 20))
    monkeypatch.setattr("persona_sweeps.planning.console.time.perf_counter", lambda: next(now))
    printed = io.StringIO()
    console = Console(Terminal(file=printed, width=100))
    with console.evaluating(2):
        for done in (10, 20, 40):
            console.answered("texts", done, 40, "texts")
    lines = printed.getvalue().splitlines()[1:]
    assert lines[0].split(": ")[1] == "10 of 40 texts"
    assert re.fullmatch(r"  texts: 20 of 40 texts, \d+ s left", lines[1])
    assert lines[2].endswith("40 of 40 texts")
