"""Find the config folder."""

from __future__ import annotations

from pathlib import Path


def conf_folder() -> Path:
    """Return the config folder: the repository's, or the one that the installed package carries."""
    package = Path(__file__).resolve().parents[1]
    repository = package.parent / "conf"
    return repository if (repository / "config.yaml").is_file() else package / "conf"
