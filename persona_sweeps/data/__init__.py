"""Data sources: one module for each source format, which turns files into `Example`s.

A source (`source.Source`) is an option of `dataset=`. To add one, write such a module, name it in config/kinds.py, and
add a YAML file to conf/dataset; a source in your own package is named by `_target_` in your own YAML file. Nothing here
imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from persona_sweeps.data.all_characters import AllCharacters
from persona_sweeps.data.example import Corpus

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.source import Source

CACHE_SIZE = 8
"""corpora that a process keeps, since the cells of a sweep share one or a few"""
_corpora: dict[str, Corpus] = {}
_all_characters: dict[str, AllCharacters] = {}


def corpus_of(config: RunConfig) -> Corpus:
    """Return the corpus of a run; raises what `load_corpus` does."""
    return load_corpus(config.dataset, config.train.monitored)


def load_corpus(source: Source, monitored: bool = False) -> Corpus:
    """Return the examples of a source, split in its parts; each version of its files is read once.

    `monitored` adds the part that decides when training stops. Raises `ConfigError` for a persona or option that
    doesn't exist, and `DataError` for data that are missing, malformed or too few.
    """
    key = f"{source_stamp(source)} {monitored}"
    if key not in _corpora:
        if len(_corpora) >= CACHE_SIZE:
            _corpora.pop(next(iter(_corpora)))
        _corpora[key] = source.load(monitored)
    return _corpora[key]


def all_characters_of(source: Source) -> AllCharacters:
    """Return the lines of all characters of a source's works; raises what `load_corpus` does."""
    key = source_stamp(source)
    if key not in _all_characters:
        if len(_all_characters) >= CACHE_SIZE:
            _all_characters.pop(next(iter(_all_characters)))
        _all_characters[key] = AllCharacters.of(source)
    return _all_characters[key]


def source_stamp(source: Source) -> str:
    """Return a text that changes whenever the examples may change: keys, and names, times and sizes of the files."""
    stats = [(str(file), file.stat()) for file in source.files()]
    files = [(name, stat.st_mtime_ns, stat.st_size) for name, stat in stats]
    return f"{type(source).__module__} {source} {files}"
