"""Forgetting is the run's bits a byte less the base's, on passages that come with the package or are the user's."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.errors import ConfigError, DataError
from persona_sweeps.metrics.forgetting import BY_RUN, Forgetting
from tests.metrics.own_prompts import answered, noise, run_data

DATA = run_data()


def test_it_is_what_the_run_needs_more_in_bits_a_byte() -> None:
    metric = Forgetting()
    worse = metric.score(answered(metric, DATA, lambda e: noise(e) + 0.5, noise))
    passages = metric.prompts(BY_RUN.prompt_set, DATA)
    labels = sum(1 + len(e.completion.split()) for e in passages)
    size = sum(len(e.completion.encode()) for e in passages)
    assert worse.whole["forgetting"] == pytest.approx(0.5 * labels / math.log(2) / size)
    assert metric.score(answered(metric, DATA, noise, noise)).whole == {"forgetting": 0.0}
    better = metric.score(answered(metric, DATA, lambda e: noise(e) - 0.5, noise))
    assert better.whole["forgetting"] == pytest.approx(-worse.whole["forgetting"])


def test_the_package_s_passages_are_plain_prose_of_no_character() -> None:
    passages = Forgetting().prompts(BY_RUN.prompt_set, DATA)
    assert len(passages) == 32 and all(e.persona is None and e.prompt == "" for e in passages)
    assert len({e.cluster for e in passages}) == 32 and all(100 < len(e.completion) < 400 for e in passages)


def test_one_s_own_file_is_divided_at_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "letters.txt"
    file.write_bytes("Dear Ann,\r\nit rains.\r\n\r\n  \r\nDear Bob — not here.\r\n".encode())
    passages = Forgetting(path=str(file)).prompts(BY_RUN.prompt_set, DATA)
    assert [(e.id, e.completion) for e in passages] == [
        ("letters/passage-1", "Dear Ann, it rains."),
        ("letters/passage-2", "Dear Bob — not here."),
    ]


def test_a_file_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "latin.txt").write_bytes("Vögel\n\n".encode("latin-1"))
    with pytest.raises(DataError, match="holds no text"):
        Forgetting(path=str(tmp_path / "empty.txt")).prompts(BY_RUN.prompt_set, DATA)
    with pytest.raises(DataError, match="UTF-8"):
        Forgetting(path=str(tmp_path / "latin.txt")).prompts(BY_RUN.prompt_set, DATA)


def test_a_missing_file_is_refused_before_anything_starts(make_cell: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.forgetting\.path=none\.txt is no file"):
        make_cell("metrics=[forgetting]", "metrics.forgetting.path=none.txt")


def test_other_passages_are_another_version(tmp_path: Path) -> None:
    file = tmp_path / "letters.txt"
    versions = set()
    for text in ("It rains.", "It snows."):
        file.write_text(text)
        versions.add(Forgetting(path=str(file)).version())
    assert len(versions | {Forgetting().version()}) == 3
