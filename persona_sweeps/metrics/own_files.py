"""Texts that a metric asks about: those of the package, or a user's file."""

from __future__ import annotations

import hashlib
from pathlib import Path


def text_version(path: str | None) -> str:
    """Return what distinguishes a user's file from others and from the package's texts: a hash of its bytes.

    A file that isn't there has no hash; the metric's `check` refuses it.
    """
    if path is None:
        return "texts of the package"
    file = Path(path).expanduser()
    return f"texts {hashlib.sha256(file.read_bytes()).hexdigest()[:10] if file.is_file() else 'missing'}"
