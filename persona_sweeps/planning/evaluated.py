"""Which held-out examples the runs of a model are evaluated on, for a run that has no model and stands beside them.

Which ones fit in train.max_length depends on the tokenizer, and runs compare only on the same items. So a run without a
model asks the tokenizer of `model=`, and its identity has the items alone: models whose runs are evaluated on the same
ones share it. What the tokenizer said is noted in the cache: a sweep that is asked for again needs neither it nor
torch.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from persona_sweeps.cache import cache_dir
from persona_sweeps.config.schema import RunConfig
from persona_sweeps.data import corpus_of
from persona_sweeps.models.fingerprints import files_sha256, json_sha256
from persona_sweeps.models.source import Origin, Weights
from persona_sweeps.models.tiny_tokenizer import TOKENIZER_FILE
from persona_sweeps.planning.obstacles import obstacles
from persona_sweeps.records.files import read_json, write_json

WEIGHTS = (".safetensors", ".bin", ".gguf")


def evaluated_ids(config: RunConfig, weights: Weights) -> tuple[str, ...] | None:
    """Return the ids of the held-out examples that fit in train.max_length, in order.

    `weights` says where the model comes from, its tokenizer with it. Returns None where the tokenizer isn't here and
    was never asked; raises `UserError` when it can't be had, and `DataError` when nothing fits.
    """
    asked = [corpus_of(config).eval_fingerprint, config.train.max_length]
    note = cache_dir() / "evaluated" / f"{json_sha256([*asked, *_tokenizer(config, weights)])[:32]}.json"
    known = (read_json(note) or {}).get("ids")
    if isinstance(known, list):
        return tuple(map(str, known))
    if obstacles(config, weights):
        return None
    found = _measured(config)
    with contextlib.suppress(OSError):  # without the note it is asked again
        write_json(note, {"ids": found})
    return tuple(found)


def _measured(config: RunConfig) -> list[str]:
    from persona_sweeps.data.prepare import prepare
    from persona_sweeps.models.loading import load_tokenizer, tokenizer_fingerprint

    tokenizer = load_tokenizer(config.model)
    return list(prepare(config, tokenizer, tokenizer_fingerprint(config.model, tokenizer)).eval["id"])


def _tokenizer(config: RunConfig, weights: Weights) -> Iterator[str]:
    """Yield what decides the tokens of a text, as far as that is known without loading the tokenizer."""
    from persona_sweeps.data.prepare import code_fingerprint

    yield from (weights.identity, code_fingerprint(), version("transformers"), version("tokenizers"))
    if weights.origin in (Origin.tiny, Origin.random):
        yield json.dumps([config.model.chat_style, files_sha256([TOKENIZER_FILE])])
    elif weights.origin is Origin.folder:
        yield files_sha256(
            file for file in Path(weights.location).iterdir() if file.is_file() and file.suffix not in WEIGHTS
        )
