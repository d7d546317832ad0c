"""The config folder is the manual: what it must say, and that it agrees with the schemas."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from persona_sweeps.config import schema
from persona_sweeps.config.kinds import GENERATION, PEFT, SOURCES
from persona_sweeps.config.schema import RunConfig, register_schemas
from tests.conftest import EVERY_CARD

CONF = Path(__file__).resolve().parents[2] / "conf"
YAML = sorted(CONF.rglob("*.yaml"))
KINDS = {group.name: {name: group.find(name) for name in group.builtin} for group in (PEFT, SOURCES, GENERATION)}
SCHEMAS = schema.SCHEMAS | KINDS
OPTIONS = [path for path in YAML if path.parent.parent == CONF and path.parent.name in SCHEMAS]


def schema_of(path: Path) -> type:
    """Return the schema that an option's defaults list names."""
    (entry,) = (str(item) for item in OmegaConf.load(path).defaults if "schema/" in str(item))
    group, option = entry.split("@")[0].removeprefix("/schema/").split("/")
    assert group == path.parent.name
    return SCHEMAS[group][option]


def written_in(path: Path) -> dict[str, Any]:
    """Return the keys of a file, with those of the shared file that its defaults list names."""
    content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(content, dict)
    named = [str(item).split("@")[0] for item in content.get("defaults", ())]
    shared = [written_in(path.parent / f"{name}.yaml") for name in named if name.startswith("shared/")]
    own = {str(key): value for key, value in content.items() if key != "defaults"}
    return {key: value for part in (*shared, own) for key, value in part.items()}


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(CONF)))
def test_every_file_opens_with_a_sentence_that_says_what_it_is(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ") and lines[0].rstrip().endswith(".")
    assert not lines[1].startswith("#"), "the opening comment is one line"


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: str(path.relative_to(CONF)))
def test_an_option_holds_every_key_of_its_schema_and_no_other(path: Path) -> None:
    assert set(written_in(path)) == {field.name for field in fields(schema_of(path))}


def test_the_groups_without_schemas_of_their_own_hold_the_keys_of_the_whole() -> None:
    assert set(written_in(CONF / "train" / "default.yaml")) == {field.name for field in fields(schema.TrainConfig)}
    for path in (CONF / "metrics").glob("*.yaml"):
        assert list(written_in(path)) == [path.stem]


def test_config_yaml_holds_what_is_in_no_group() -> None:
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert set(written_in(CONF / "config.yaml")) - {"hydra"} == {field.name for field in fields(RunConfig)} - groups


EXPLAINED = [path for path in [*OPTIONS, CONF / "config.yaml"] if "keys are explained in" not in path.read_text()]


@pytest.mark.parametrize("path", EXPLAINED, ids=lambda path: str(path.relative_to(CONF)))
def test_every_key_has_a_comment_above_or_beside_it(path: Path) -> None:
    lines = path.read_text().split("_self_", 1)[1].split("\nhydra:", 1)[0].splitlines()
    for above, line in zip(lines, lines[1:], strict=False):
        names_itself = line == f"method: {path.stem}"
        if re.match(r" *\w+: *\S", line) and not names_itself:
            assert "#" in line or above.lstrip().startswith("#"), line


def test_every_schema_has_an_option_and_every_option_a_schema() -> None:
    used = {(path.parent.name, schema_of(path)) for path in OPTIONS}
    assert used == {(group, known) for group, options in SCHEMAS.items() for known in options.values()}


def test_schemas_are_found_by_hydra_under_the_names_that_the_files_use() -> None:
    register_schemas()
    store = ConfigStore.instance().repo["schema"]
    assert "run.yaml" in store
    for group, options in SCHEMAS.items():
        assert {f"{option}.yaml" for option in options} <= set(store[group])


def test_every_card_composes_into_a_valid_run(make_cell, tmp_path: Path, dialogue: Path) -> None:
    for name in EVERY_CARD:
        cell = make_cell(
            f"model={name}", "model.scale=tiny", "dataset=jsonl", f"dataset.path={dialogue}", "device=cpu",
            f"output_dir={tmp_path}", "train.max_length=512",
        )  # fmt: skip
        assert cell.config.model.name == name and cell.name.startswith(name)


def test_a_method_brings_its_own_learning_rate_and_an_explicit_one_wins(compose_run) -> None:
    assert compose_run("peft=lora").train.learning_rate == 1e-3
    assert compose_run("peft=prompt_tuning").train.learning_rate == 1e-2
    assert compose_run("peft=none").train.learning_rate is None
    assert compose_run("peft=prompt_tuning", "train.learning_rate=0.5").train.learning_rate == 0.5
