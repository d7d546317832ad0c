"""What makes two runs the same run, and two rows comparable."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.records.identity import comparability_key, digest, run_id, run_name

BASE = ("model.scale=tiny", "device=cpu", "train.precision=fp32")


@pytest.fixture
def id_of(make_cell: Callable[..., Any], tiny: tuple[str, ...]) -> Callable[..., str]:
    """A function of overrides, which come after those of a tiny run, that gives a run id."""
    return lambda *overrides: make_cell(*tiny, *overrides).run_id


@pytest.mark.parametrize(
    "overrides",
    [
        ("output_dir=elsewhere",),
        ("tracker=tensorboard",),
        ("sweep.name=other",),
        ("device=auto",),
        ("train.micro_batch_size=1",),
        ("group_size=2",),
        ("peft.learning_rate=1e-3",),
        ("train.learning_rate=0.001",),
        ("seed=0", "peft=lora"),
        ("model.licence=other",),
        ("metrics=[overlap,likelihood]",),
    ],
    ids=lambda overrides: overrides[0],
)
def test_what_cannot_change_the_result_leaves_the_run_id_as_it_is(id_of, overrides: tuple[str, ...]) -> None:
    assert id_of(*overrides) == id_of()


def test_the_order_of_overrides_does_not_matter(id_of) -> None:
    assert id_of("peft.r=4", "seed=3", "train.weight_decay=0.1") == id_of(
        "train.weight_decay=0.1", "seed=3", "peft.r=4"
    )


@pytest.mark.parametrize(
    "override",
    [
        "seed=1", "train.learning_rate=2e-3", "train.precision=bf16", "peft.r=4", "peft.alpha=8", "peft.dropout=0.1",
        "peft=prompt_tuning", "peft=none", "model=gpt2", "train.max_steps=4", "train.batch_size=2",
        "train.max_length=128", "train.scheduler=linear", "dataset.loss_on=all_tokens", "dataset.limit=4",
        "dataset.eval_limit=2", "dataset.split_seed=1", "dataset.card='Be brief.'", "generation.max_new_tokens=5",
        "generation=nucleus", "metrics=[likelihood]", "metrics.overlap.stemmer=true", "train.eval_every=1",
    ],
)  # fmt: skip
def test_what_can_change_the_result_changes_the_run_id(id_of, override: str) -> None:
    assert id_of(override) != id_of()


def test_the_content_of_a_data_file_counts_and_its_path_does_not(make_cell, tiny, dialogue: Path, tmp_path) -> None:
    copy, changed = tmp_path / "copy.jsonl", tmp_path / "changed.jsonl"
    copy.write_bytes(dialogue.read_bytes())
    changed.write_bytes(dialogue.read_bytes().replace(b"Nay", b"Yea", 1))
    original, same, other = (make_cell(*tiny, f"dataset.path={path}").run_id for path in (dialogue, copy, changed))
    assert original == same != other


@pytest.mark.parametrize(
    "override", ["train.learning_rate=0.5", "train.epochs=9", "train.batch_size=1", "dataset.limit=5"]
)
def test_how_one_would_train_is_no_part_of_the_untuned_base(id_of, override: str) -> None:
    assert id_of("peft=none", override) == id_of("peft=none")


def test_decoding_counts_only_where_texts_are_scored(id_of) -> None:
    likelihood = "metrics=[likelihood]"
    assert id_of(likelihood, "generation.max_new_tokens=5") == id_of(likelihood)
    assert id_of(likelihood, "generation=nucleus") == id_of(likelihood)


def test_the_source_of_the_weights_counts(make_cell, tiny) -> None:
    resolved = make_cell(*tiny).resolved
    assert (
        run_id(resolved, "data", "hub@main") != run_id(resolved, "data", "hub@abc") != run_id(resolved, "x", "hub@abc")
    )


def test_a_run_id_is_ten_hexadecimal_digits(id_of) -> None:
    assert re.fullmatch(r"[0-9a-f]{10}", id_of())


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


def test_rows_are_comparable_when_only_training_and_model_differ(make_cell, tiny) -> None:
    def key(*overrides: str, ids: tuple[str, ...] = ("a", "b"), data: str = "d", versions: str = "1") -> str:
        return comparability_key(make_cell(*tiny, *overrides).resolved, data, ids, {"rouge": versions})

    for overrides in (("seed=1",), ("peft=prompt_tuning",), ("model=gpt2",), ("dataset.limit=4",), ("train.epochs=1",)):
        assert key(*overrides) == key()
    for overrides in (
        ("generation=nucleus",), ("generation.max_new_tokens=5",), ("metrics=[likelihood]",), ("dataset.split_seed=1",),
        ("dataset.card='Be brief.'",), ("metrics.overlap.stemmer=true",),
    ):  # fmt: skip
        assert key(*overrides) != key()
    assert key(ids=("b", "a")) == key() != key(ids=("a",))
    assert len({key(), key(data="e"), key(versions="2")}) == 3


def test_a_name_says_the_model_the_method_the_persona_and_the_seed(make_cell) -> None:
    cell = make_cell(*BASE, "model=gpt2", "peft.r=8", "train.learning_rate=2e-3", "seed=3", "train.max_length=512")
    assert cell.name == run_name(cell.resolved) == "gpt2-tiny-lora-r8-lr0.002-hamlet-s3"
    assert cell.folder.path.name == f"{cell.name}-{cell.run_id}"


def test_a_persona_of_any_characters_gives_a_name_that_any_file_system_takes(make_cell, tiny) -> None:
    resolved = make_cell(*tiny).resolved
    resolved["dataset"]["persona"] = "Élodie / d'Artagnan\n«x»: *?"
    assert re.fullmatch(r"[a-z0-9._-]+", run_name(resolved))
