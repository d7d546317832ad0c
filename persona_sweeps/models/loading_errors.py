"""What transformers says of files that it can't load, as one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.errors import UserError


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
