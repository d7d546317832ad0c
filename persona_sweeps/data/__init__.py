"""Data sources: one module a source format, each of which turns its bytes into `Example`s.

A source is a module with `load(config) -> Corpus`; `SOURCES` names it. Nothing here imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from persona_sweeps.data.example import Corpus
from persona_sweeps.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from persona_sweeps.config import DatasetConfig

SOURCES: dict[str, str] = {
    "shakespeare": "persona_sweeps.data.shakespeare",
    "jsonl": "persona_sweeps.data.jsonl",
}
"""Module of each source, by the name that `dataset.source` gives."""


def load_corpus(config: DatasetConfig) -> Corpus:
    """Read the examples that `config` asks for, already split in train and eval.

    Raises `ConfigError` for a source, persona or option that doesn't exist, and `DataError` for data that are
    missing, malformed or too few.
    """
    if config.source not in SOURCES:
        raise ConfigError(
            f"dataset.source={config.source} is no data source.{did_you_mean(config.source, SOURCES)} "
            f"Sources: {', '.join(sorted(SOURCES))}."
        )
    return import_module(SOURCES[config.source]).load(config)
