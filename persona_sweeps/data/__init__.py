"""Data sources: one module a source format, each of which turns its bytes into `Example`s.

A source (`source.Source`) is an option of `dataset=`. To add one, write such a module, name it in config/kinds.py, and
give it a YAML file in conf/dataset; one of your own is named by `_target_` in a YAML file of yours. Nothing here
imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from persona_sweeps.data.example import Corpus

if TYPE_CHECKING:
    from persona_sweeps.data.source import Source

KEPT = 8
"""corpora that a process keeps, since the cells of a sweep share one or a few"""
_read: dict[str, Corpus] = {}


def load_corpus(source: Source) -> Corpus:
    """Read the examples of a source, already split in train and eval; once for each version of its files.

    Raises `ConfigError` for a persona or option that doesn't exist, and `DataError` for data that are missing,
    malformed or too few.
    """
    key = source_stamp(source)
    if key not in _read:
        if len(_read) >= KEPT:
            _read.pop(next(iter(_read)))
        _read[key] = source.load()
    return _read[key]


def source_stamp(source: Source) -> str:
    """Return what changes whenever the source may give other examples: its keys; name, time and size of its files."""
    stats = [(str(file), file.stat()) for file in source.files()]
    files = [(name, stat.st_mtime_ns, stat.st_size) for name, stat in stats]
    return f"{type(source).__module__} {source} {files}"
