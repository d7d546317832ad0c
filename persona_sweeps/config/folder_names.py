"""Names that become folders: they must stay in the folder that they are meant for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from persona_sweeps.errors import UserError


def folder_name(key: str, name: object) -> Iterator[str]:
    """Yield what is wrong with a name that is to be a folder's: it may have no part of a path."""
    if not re.fullmatch(r"\w[\w.+-]*", str(name)):
        yield f"{key}={name} can't name a folder: use letters, digits, '_', '-', '+' and '.'."


def require_folder_name(key: str, name: object) -> None:
    """Raise UserError for a name that can't be a folder's, before anything is written by it."""
    for mistake in folder_name(key, name):
        raise UserError(mistake)
