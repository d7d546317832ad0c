"""Whether a folder can be written, asked before anything depends on it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from persona_sweeps.errors import UserError


def unwritable(folder: Path) -> OSError | None:
    """Return what keeps files from being made in a folder, which is made if need be; None when nothing does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\n")
    except OSError as error:
        return error
    return None


def require_writable(output_dir: str) -> None:
    """Raise UserError when runs couldn't leave their files in the output folder."""
    if error := unwritable(Path(output_dir)):
        raise UserError(f"output_dir={output_dir} can't be written ({error.strerror or error}): choose another folder.")
