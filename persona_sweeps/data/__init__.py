"""Data sources: one module a source format, each of which turns its bytes into `Example`s.

A source is a module with `load(config) -> Corpus`; `SOURCES` names it. Nothing here imports torch.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.data.example import Corpus
from persona_sweeps.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from persona_sweeps.config.schema import DatasetConfig

SOURCES: dict[str, str] = {
    "shakespeare": "persona_sweeps.data.shakespeare",
    "jsonl": "persona_sweeps.data.jsonl",
}
"""Module of each source, by the name that `dataset.source` gives."""


KEPT = 8
"""corpora that a process keeps, since the cells of a sweep share one or a few"""
_read: dict[str, Corpus] = {}


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
    key = f"{config} {source_stamps(config)}"
    if key not in _read:
        if len(_read) >= KEPT:
            _read.pop(next(iter(_read)))
        _read[key] = import_module(SOURCES[config.source]).load(config)
    return _read[key]


def source_stamps(config: DatasetConfig) -> list[tuple[str, int, int]]:
    """Return name, time and size of the files that the config names, so that a changed file is read again."""
    names = [name for key in ("path", "eval_path") if (name := getattr(config, key, None))]
    roots = [Path(name).expanduser() for name in names]
    files = [file for root in roots for file in (sorted(root.rglob("*.md")) if root.is_dir() else [root])]
    stats = [(str(file), file.stat()) for file in files if file.exists()]
    return [(name, stat.st_mtime_ns, stat.st_size) for name, stat in stats]
