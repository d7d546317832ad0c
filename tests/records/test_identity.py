"""What makes two runs the same run, two rows seeds of one setting, and two evaluations comparable."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.planning.cells import Cell
from persona_sweeps.records.identity import comparability_key, digest, evaluation_id, run_identity

BASE = ("model.scale=tiny", "device=cpu", "train.precision=fp32")


@pytest.fixture
def cell(make_cell: Callable[..., Cell], tiny: tuple[str, ...]) -> Callable[..., Cell]:
    """A function of overrides, which come after those of a tiny run, that gives the cell."""
    return lambda *overrides: make_cell(*tiny, *overrides)


def predictions(cell: Cell) -> dict[str, str]:
    """Return the ids of a cell's predictions by what is asked: text, or the NLL of the completions or of all tokens."""
    return {"text" if r.kind == "text" else f"nll {r.loss_on}": name for r, name in cell.requests.items()}


NOTHING = [
    "output_dir=elsewhere", "tracker=tensorboard", "sweep.name=other", "device=auto", "train.micro_batch_size=1",
    "group_size=2", "peft.learning_rate=1e-3", "train.learning_rate=0.001", "model.licence=other",
    "metrics=[overlap,likelihood]",
]  # fmt: skip
"""what can't change a result"""
EVALUATION = [
    "dataset.eval_limit=2", "generation.max_new_tokens=5", "generation=nucleus", "metrics=[likelihood]",
    "metrics.overlap.stemmer=true",
]  # fmt: skip
"""what changes how a run is evaluated, and nothing of what is trained"""
TRAINING = [
    "seed=1", "train.learning_rate=2e-3", "train.precision=bf16", "peft.r=4", "peft.alpha=8", "peft.dropout=0.1",
    "peft=prompt_tuning", "peft=none", "model=gpt2", "train.max_steps=4", "train.batch_size=2", "train.max_length=128",
    "train.scheduler=linear", "dataset.loss_on=all_tokens", "dataset.limit=4", "dataset.split_seed=1",
    "dataset.card='Be brief.'", "train.eval_every=1",
]  # fmt: skip
"""what changes what is trained"""


@pytest.mark.parametrize("override", NOTHING)
def test_what_cannot_change_a_result_leaves_all_ids_as_they_are(cell, override: str) -> None:
    ours, plain = cell(override), cell()
    assert (ours.run_id, ours.setting_key, ours.requests, ours.evaluation_id) == (
        plain.run_id, plain.setting_key, plain.requests, plain.evaluation_id,
    )  # fmt: skip


def test_the_order_of_overrides_does_not_matter(cell) -> None:
    one, other = ("peft.r=4", "seed=3", "train.weight_decay=0.1"), ("train.weight_decay=0.1", "seed=3", "peft.r=4")
    assert cell(*one).evaluation_id == cell(*other).evaluation_id and cell(*one).run_id == cell(*other).run_id


@pytest.mark.parametrize("override", EVALUATION)
def test_what_changes_the_evaluation_leaves_the_run_as_it_is(cell, override: str) -> None:
    assert cell(override).run_id == cell().run_id
    assert cell(override).evaluation_id != cell().evaluation_id


@pytest.mark.parametrize("override", TRAINING)
def test_what_changes_training_changes_the_run_and_all_that_it_says(cell, override: str) -> None:
    ours, plain = cell(override), cell()
    assert ours.run_id != plain.run_id and ours.evaluation_id != plain.evaluation_id
    assert not set(ours.requests.values()) & set(plain.requests.values())


@pytest.mark.parametrize("override", [text for text in TRAINING if text != "seed=1"])
def test_a_setting_is_a_run_without_its_seed(cell, override: str) -> None:
    assert cell("seed=1").setting_key == cell().setting_key != cell().run_id
    assert cell(override).setting_key != cell().setting_key
    assert cell(override, "seed=1").setting_key == cell(override).setting_key


@pytest.mark.parametrize(
    "override, changed",
    [
        ("dataset.eval_limit=2", {"nll completion", "text"}),
        ("generation.max_new_tokens=5", {"text"}),
        ("generation=nucleus", {"text"}),
        ("metrics.overlap.stemmer=true", set()),
        ("metrics=[likelihood]", set()),
    ],
)
def test_only_predictions_that_the_change_is_about_are_others(cell, override: str, changed: set[str]) -> None:
    ours, plain = predictions(cell(override)), predictions(cell())
    assert {asked for asked in ours if ours[asked] != plain[asked]} == changed


def test_sampling_is_seeded_even_where_nothing_is_trained(cell) -> None:
    untuned = ("peft=none", "generation=nucleus")
    ours, other = predictions(cell(*untuned, "seed=1")), predictions(cell(*untuned))
    assert cell(*untuned, "seed=1").run_id == cell(*untuned).run_id
    assert {asked for asked in ours if ours[asked] != other[asked]} == {"text"}


def test_training_examples_count_and_their_path_does_not(make_cell, tiny, dialogue: Path, tmp_path) -> None:
    copy, changed = tmp_path / "copy.jsonl", tmp_path / "changed.jsonl"
    copy.write_bytes(dialogue.read_bytes())
    changed.write_bytes(dialogue.read_bytes().replace(b"Nay", b"Yea"))
    original, same, other = (make_cell(*tiny, f"dataset.path={path}").run_id for path in (dialogue, copy, changed))
    assert original == same != other


@pytest.mark.parametrize(
    "override",
    ["train.learning_rate=0.5", "train.epochs=9", "train.batch_size=1", "dataset.limit=5", "seed=1", "dataset.card=A"],
)
def test_how_one_would_train_is_no_part_of_the_untuned_base(cell, override: str) -> None:
    assert cell("peft=none", override).run_id == cell("peft=none").run_id


def test_decoding_counts_only_where_texts_are_scored(cell) -> None:
    likelihood = "metrics=[likelihood]"
    for decoding in ("generation.max_new_tokens=5", "generation=nucleus"):
        assert cell(likelihood, decoding).evaluation_id == cell(likelihood).evaluation_id


def test_where_weights_come_from_what_is_trained_on_and_files_count(cell) -> None:
    own = cell()
    parts = [("data", "hub@main", None), ("data", "hub@abc", None), ("x", "hub@abc", None), ("x", "hub@abc", "files")]
    assert len({run_identity(own.resolved, own.config.peft, *part) for part in parts}) == len(parts)


def test_ids_are_ten_hexadecimal_digits(cell) -> None:
    own = cell()
    for name in (own.run_id, own.setting_key, own.evaluation_id, *own.requests.values()):
        assert re.fullmatch(r"[0-9a-f]{10}", name)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text(max_size=4), inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=5), st.randoms())
def test_a_digest_ignores_the_order_of_keys(value: dict[str, Any], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert digest(dict(items)) == digest(value)


def test_a_version_of_a_metric_is_another_evaluation() -> None:
    asked = ["a", "b"]
    assert evaluation_id(asked, {"rouge": "1"}) == evaluation_id(asked[::-1], {"rouge": "1"})
    others = [evaluation_id(asked, {"rouge": "2"}), evaluation_id(["a"], {"rouge": "1"}), evaluation_id(asked, {})]
    assert len({evaluation_id(asked, {"rouge": "1"}), *others}) == 4


def test_rows_are_comparable_when_the_items_and_the_decoding_are_the_same(cell) -> None:
    """What was trained, on which model, and which metrics were chosen doesn't count."""
    decoding = cell().resolved["generation"]
    keys = [
        comparability_key("items", decoding),
        comparability_key("others", decoding),
        comparability_key("items", None),
    ]
    for override in ("generation=nucleus", "generation.max_new_tokens=5"):
        keys.append(comparability_key("items", cell(override).resolved["generation"]))
    assert len(set(keys)) == 5
    assert comparability_key("items", dict(reversed(decoding.items()))) == keys[0]
