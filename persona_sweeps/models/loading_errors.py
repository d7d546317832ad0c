"""What transformers says of files that it can't load, as one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.errors import UserError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
"""one of these holds the vocabulary"""


@contextlib.contextmanager
def explaining_errors(card: ModelConfig) -> Iterator[None]:
    """Convert transformers' errors about missing or unreadable files, or code that isn't run, to a `UserError`."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        if "trust_remote_code" in str(error):
            raise UserError(
                f"model={card.name}: {card.hub_id} needs code of its own, and code that comes with a model is never "
                "run here: use a model whose family transformers itself knows."
            ) from error
        first_line = str(error).strip().split("\n", 1)[0]
        raise UserError(f"model={card.name}: {card.hub_id} can't be loaded: {first_line}") from error


@contextlib.contextmanager
def explaining_tokenizer_errors(card: ModelConfig) -> Iterator[None]:
    """Convert whatever a tokenizer's files make transformers raise to a `UserError`; a broken file may raise anything.

    What isn't about the files (a refused download, code that isn't run) is explained as for the model.
    """
    from persona_sweeps.models.own_card import is_path

    try:
        with explaining_errors(card):
            yield
    except UserError as error:
        if not is_path(card.hub_id) or "needs code of its own" in str(error):
            raise
        raise UserError(_tokenizer_sentence(card, error.__cause__ or error)) from error
    except Exception as error:
        raise UserError(_tokenizer_sentence(card, error)) from error


def _tokenizer_sentence(card: ModelConfig, error: BaseException) -> str:
    folder = Path(card.hub_id).expanduser()
    if folder.is_dir() and not any((folder / name).exists() for name in TOKENIZER_FILES):
        return (
            f"model={card.name}: {card.hub_id} has no tokenizer ({', '.join(TOKENIZER_FILES)}): write it there with "
            "tokenizer.save_pretrained, or copy its files from the model that this one was made of."
        )
    first_line = str(error).strip().split("\n", 1)[0].rstrip(" :")
    return (
        f"model={card.name}: the tokenizer of {card.hub_id} can't be read ({type(error).__name__}: {first_line}): "
        "write or download its files again."
    )
