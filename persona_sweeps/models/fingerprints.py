"""SHA-256 fingerprints of weights and tokenizers: two runs agree on their base exactly when these agree."""

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
    """Return the SHA-256 (hex) of a file's bytes, remembered in the cache for as long as its size and time stand.

    Gigabytes of weights are therefore read once, not once a run.
    """
    path = path.resolve()
    stat = path.stat()
    seen = {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    note = cache_dir() / "hashes" / f"{json_sha256(str(path))[:24]}.json"
    known = read_json(note) or {}
    if {key: known.get(key) for key in seen} == seen and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    with contextlib.suppress(OSError):  # without the note it is read again
        write_json(note, {**seen, "sha256": digest})
    return digest


def files_sha256(paths: Iterable[Path]) -> str:
    """Return one SHA-256 (hex) for several files of a folder: their names and their bytes, in any order."""
    return json_sha256({path.name: file_sha256(path) for path in paths})


def tokenizer_fingerprint(card: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the SHA-256 (hex) of all that decides how `tokenizer` turns text or chat messages into token ids.

    Padding and truncation are left out, for they are the state of the last call. A tokenizer without a `tokenizers`
    backend can't be read whole: it counts as the vocabulary of its card's repository and revision.
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
