"""What every test shares: no network, no fork warnings, and model cards composed as a run composes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Before any test imports a Hugging Face library, which reads them once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from persona_sweeps.config import ModelConfig, register_schemas

CONF = Path(__file__).resolve().parents[1] / "conf"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for this test alone; the others share the user's, where the embedded model is converted."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(folder))
    return folder


@pytest.fixture
def compose_card() -> Callable[..., ModelConfig]:
    """A function of a card's name and overrides (`scale=tiny`, without the `model.`) that gives the typed card."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    register_schemas()

    def composed(name: str, *overrides: str) -> ModelConfig:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose(overrides=[f"+model={name}", *(f"model.{override}" for override in overrides)])
        card = OmegaConf.to_object(config.model)
        assert isinstance(card, ModelConfig)
        return card

    return composed
