"""SHA-256 fingerprints of weights and tokenizers: two runs have the same base exactly if these are equal."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_sweeps.cache import cache_dir
from persona_sweeps.records.files import read_json, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from persona_sweeps.config.schema import ModelConfig


def json_sha256(value: Any) -> str:
    """Return the SHA-256 (hex) of `value` as JSON, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes, cached for as long as its size and modification time stay.

    So gigabytes of weights are read once, not once a run.
    """
    path = path.resolve()
    stat = path.stat()
    state = {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    entry = cache_dir() / "hashes" / f"{json_sha256(str(path))[:24]}.json"
    cached = read_json(entry) or {}
    if {key: cached.get(key) for key in state} == state and isinstance(cached.get("sha256"), str):
        return str(cached["sha256"])
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    with contextlib.suppress(OSError):  # without a cache entry the file is read again
        write_json(entry, {**state, "sha256": digest})
    return digest


def files_sha256(paths: Iterable[Path]) -> str:
    """Return one SHA-256 (hex) of the names and bytes of several files, whatever their order."""
    return json_sha256({path.name: file_sha256(path) for path in paths})


def tokenizer_fingerprint(card: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the SHA-256 (hex) of everything that decides how `tokenizer` turns text or messages into token ids.

    Padding and truncation are left out, since they are state of the last call. A tokenizer without a `tokenizers`
    backend can't be read completely: its vocabulary, repository and revision are hashed instead.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        rules: Any = [type(tokenizer).__name__, card.hub_id, card.revision, tokenizer.get_vocab()]
    else:
        rules = json.loads(backend.to_str())
        rules["padding"] = rules["truncation"] = None
    return json_sha256(
        {"rules": rules, "chat_template": tokenizer.chat_template, "special_tokens": tokenizer.special_tokens_map}
    )
