"""The registry of sources, and the options under conf/dataset."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from persona_sweeps.config.kinds import SOURCES
from persona_sweeps.config.schema import register_schemas
from persona_sweeps.data import load_corpus
from persona_sweeps.data.source import Source
from persona_sweeps.data.sources.jsonl import Jsonl
from persona_sweeps.data.sources.shakespeare import Shakespeare

CONF = Path(__file__).resolve().parents[2] / "conf"


def composed(name: str, *overrides: str) -> object:
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_object(compose(overrides=[f"+dataset={name}", *overrides]).dataset)


def test_loading_a_play_imports_no_heavy_library() -> None:
    program = (
        "import sys\n"
        "from persona_sweeps.data.sources.shakespeare import Shakespeare\n"
        "from persona_sweeps.data import load_corpus, prepare, rendering\n"
        "from persona_sweeps.data.inspection import show\n"
        "from persona_sweeps.data.sources import jsonl\n"
        "load_corpus(Shakespeare(source='shakespeare', persona='Hamlet', context_lines=4, card='long',\n"
        "    eval_fraction=0.2, split_seed=0, min_examples=8, loss_on='completion'))\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'numpy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=CONF.parent)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_default_is_hamlet_by_scene() -> None:
    config = composed("shakespeare")
    assert isinstance(config, Shakespeare)
    assert len(load_corpus(config).train) > 250


def test_jsonl_needs_its_path(tmp_path: Path) -> None:
    config = composed("jsonl", f"dataset.path={tmp_path}/d.jsonl")
    assert isinstance(config, Jsonl) and config.card == "auto"


@pytest.mark.parametrize("name", sorted(SOURCES.builtin))
def test_every_key_of_an_option_is_explained_once(name: str) -> None:
    text = (CONF / "dataset" / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    own, shared = (
        re.findall(r"^(\w+): .*# \S", of, re.M) for of in (text, (CONF / "dataset/shared/keys.yaml").read_text())
    )
    assert len(set(own)) == len(own) and len(set(shared)) == len(shared)
    assert {*own, *shared} == {field.name for field in fields(SOURCES.find(name))}
    assert {field.name for field in fields(Source)} == {*shared, "source", "persona"}
