"""A card is true for the model that `model.hub_id` names, by its name and with model=auto by every fact."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.errors import ConfigError, UserError
from persona_sweeps.models.own_card import is_path, name_of, settle_card
from persona_sweeps.models.tiny import tiny_model
from persona_sweeps.models.tiny_tokenizer import tiny_tokenizer

Composer = Callable[..., ModelConfig]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ModelConfig], Path]:
    """A function that saves a card's twin as if it were a full model, once, and returns its folder."""
    root = tmp_path_factory.mktemp("saved")

    def save(card: ModelConfig) -> Path:
        folder = root / f"My {card.name}"
        if not folder.exists():
            tiny_model(card).save_pretrained(folder)
            tiny_tokenizer(card).save_pretrained(folder)
        return folder

    return save


@pytest.mark.parametrize("name", ["smollm2_135m_instruct", "gpt2", "gemma3_270m_it", "qwen3_32b", "mistral_7b"])
def test_every_fact_is_read_from_the_model_s_files(
    make_cell: Callable, compose_card: Composer, saved, name: str
) -> None:
    known = compose_card(name, "scale=tiny")
    found = make_cell("model=auto", f"model.hub_id={saved(known)}", "train.max_length=99", "device=cpu").config.model
    assert found.name == f"My-{name}"
    for key in ("family", "instruct", "chat_style"):
        assert getattr(found, key) == getattr(known, key), key
    written = json.loads((saved(known) / "config.json").read_text())
    assert found.context_length == written.get("max_position_embeddings", written.get("n_positions"))


def test_what_the_user_says_of_the_model_counts(make_cell: Callable, compose_card: Composer, saved) -> None:
    folder = saved(compose_card("gpt2", "scale=tiny"))
    of = ("model=auto", f"model.hub_id={folder}", "device=cpu")
    card = make_cell(*of, "model.name=mine", "model.context_length=500", "model.instruct=true").config.model
    assert (card.name, card.context_length, card.instruct) == ("mine", 500, True)


def test_another_model_under_a_card_has_a_name_of_its_own(make_cell: Callable, compose_card: Composer, saved) -> None:
    folder = saved(compose_card("smollm2_135m_instruct", "scale=tiny"))
    cell = make_cell(f"model.hub_id={folder}", "device=cpu")
    assert cell.config.model.name == "My-smollm2_135m_instruct" and cell.name.startswith(
        "my-smollm2_135m_instruct-lora"
    )
    assert cell.config.model.counterpart is None, "the pair is that of the card's own model"
    assert make_cell(f"model.hub_id={folder}", "model.name=own", "device=cpu").config.model.name == "own"
    assert make_cell("device=cpu").config.model.name == "smollm2_135m_instruct"


def test_a_run_of_it_is_trained_and_named(
    launch: Callable, tiny: tuple[str, ...], compose_card: Composer, saved
) -> None:
    folder = saved(compose_card("smollm2_135m_instruct", "scale=tiny"))
    ended = launch(*(text for text in tiny if text != "model.scale=tiny"), "model=auto", f"model.hub_id={folder}")
    assert ended.code == 0, ended.err
    (record,) = ended.records()
    assert record["name"].startswith("my-smollm2_135m_instruct-") and record["config"]["model"]["family"] == "llama"


@pytest.mark.parametrize(
    ("hub_id", "name"),
    [("owner/Llama-3.2-1B", "Llama-3.2-1B"), ("gpt2", "gpt2"), ("/data/Bob's model/", "Bob-s-model"), ("~/x", "x")],
)
def test_names_come_from_ids_and_folders(hub_id: str, name: str) -> None:
    assert name_of(hub_id) == name


def test_a_path_is_no_hub_id(tmp_path: Path) -> None:
    for path in (str(tmp_path), "./a", "../a", "~/a", "/a/b", "a/b/c", "a b/c", "a--b/c", "a..b", "x" * 97, "owner/-"):
        assert is_path(path), path
    for name in ("gpt2", "owner/name", "owner/name-1.5_b"):
        assert not is_path(name), name


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json can't be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "must hold one JSON object"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "t5"}'),
            "is of the architecture t5; these",
        ),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "gpt2"}'), "set model.context_length"),
    ],
)
def test_a_model_that_can_t_be_read_is_refused(
    make_cell: Callable, compose_card: Composer, saved, tmp_path: Path, change: Callable, says: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(saved(compose_card("gpt2", "scale=tiny")), folder)
    change(folder)
    with pytest.raises(UserError, match=says):
        make_cell("model=auto", f"model.hub_id={folder}", "device=cpu")


@pytest.mark.parametrize("scale", ["tiny", "full"])
def test_a_folder_that_isn_t_there_is_refused_at_any_scale(make_cell: Callable, tmp_path: Path, scale: str) -> None:
    with pytest.raises(ConfigError, match="neither a folder here nor a Hub id"):
        make_cell(f"model.hub_id={tmp_path}/none", f"model.scale={scale}", "device=cpu")


def test_auto_needs_to_know_which_model() -> None:
    card = OmegaConf.structured(ModelConfig(chat_style="none"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"model=auto needs model\.hub_id"):
        settle_card(card)
