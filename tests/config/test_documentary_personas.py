"""The experiment documentary_personas: its board's nine models, and what its README and its winner's config say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from persona_sweeps.config.schema import register_schemas
from tests.conftest import CONF

BOARD = Path(CONF).parent / "analysis" / "published" / "data" / "documentary_personas.json"


def composed(name: str) -> Any:
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [f"experiment={name}"], return_hydra_config=True)


def test_the_sweep_has_the_boards_models_in_its_order() -> None:
    models = composed("documentary_personas").hydra.sweeper.params.model.split(",")
    rows = json.loads(BOARD.read_text())["tables"][0]["rows"]
    plain = [re.sub(r"[^a-z0-9]", "", row["name"].lower()) for row in rows]
    assert [model.replace("_", "") for model in models] == plain


@pytest.mark.parametrize(
    ("name", "epochs", "length"), [("documentary_personas", 6, 512), ("documentary_personas_config", 3, 256)]
)
def test_readme_and_config_differ_in_length_only(name: str, epochs: int, length: int) -> None:
    config = composed(name)
    assert (config.train.epochs, config.train.max_length) == (epochs, length)
    assert (config.peft.r, config.peft.alpha, config.peft.dropout, len(config.peft.target_modules)) == (
        64,
        128,
        0.05,
        7,
    )
    assert (config.dataset.template, config.dataset.too_long, config.dataset.eval_limit) == ("raw", "cut", 62)
    assert OmegaConf.select(config, "generation.temperature") == 0.7 and config.train.batch_size == 8
