"""Names of runs say what they are, in letters that every file system takes, and never too many."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.run_names import run_name

BASE = ("model.scale=tiny", "device=cpu", "train.precision=fp32")


@pytest.fixture
def cell(make_cell: Callable[..., Cell], tiny: tuple[str, ...]) -> Callable[..., Cell]:
    """A function of overrides, which come after those of a tiny run, that gives the cell."""
    return lambda *overrides: make_cell(*tiny, *overrides)


def named(own: Cell, **dataset: object) -> str:
    """Return the name that a cell's run would have with other data."""
    own.resolved["dataset"] |= dataset
    return run_name(own.resolved, own.config.peft, own.config.peft.name_parts)


def test_a_name_says_the_model_the_method_the_persona_and_the_seed(make_cell) -> None:
    own = make_cell(*BASE, "model=gpt2", "peft.r=8", "train.learning_rate=2e-3", "seed=3", "train.max_length=512")
    assert own.name == "gpt2-tiny-lora-r8-lr0.002-hamlet-s3"
    assert own.folder.path.name == f"{own.name}-{own.run_id}"


def test_a_persona_of_any_characters_gives_a_name_that_any_file_system_takes(cell) -> None:
    own = cell()
    own.resolved["dataset"]["persona"] = "Élodie / d'Artagnan\n«x»: *?"
    assert re.fullmatch(r"[a-z0-9._-]+", run_name(own.resolved, own.config.peft, own.config.peft.name_parts))


def test_a_large_rate_is_not_named_like_a_small_one(make_cell) -> None:
    names = [
        make_cell(*BASE, "model=gpt2", f"train.learning_rate={rate}", "train.max_length=512").name
        for rate in ("1e6", "1e-6")
    ]
    assert ["lr1e06" in names[0], "lr1e-06" in names[1]] == [True, True]


@pytest.mark.parametrize(
    ("dataset", "part"),
    [
        ({"path": "/data/Season 1 (final).jsonl"}, "season-1-final"),
        ({"path": "owner/set"}, "set"),
        ({"path": None}, "jsonl"),
        ({"path": "/data/x.jsonl", "persona": "Ross"}, "ross"),
        ({"persona": "Анна Каренина"}, "anna-karenina"),
        ({"persona": "紫式部"}, "zishibu"),
        ({"persona": ["Zoë", "Ben"]}, "zoe-ben"),
        ({"persona": list("abcd")}, "4-personas"),
    ],
)
def test_the_data_are_named_by_character_or_by_file(cell: Callable, dataset: dict, part: str) -> None:
    assert named(cell(), **dataset).endswith(f"-lr0.001-{part}-s0")


@pytest.mark.parametrize("persona", ["x" * 300, "é" * 300, "😀" * 300, ["a" * 300, "b" * 300, "c" * 300], "/" * 300])
def test_a_long_name_is_cut_and_keeps_its_seed(cell: Callable, persona: object) -> None:
    name = named(cell("seed=3"), persona=persona)
    assert len(name) < 200 and name.endswith("-s3") and re.fullmatch(r"[a-z0-9._-]+", name) and "--" not in name
