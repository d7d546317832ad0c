"""SLURM's own commands, asked with a time limit: a controller that doesn't answer says nothing."""

from __future__ import annotations

import subprocess

COMMAND_SECONDS = 60
"""after which a command of SLURM is taken to have failed: its controller may be down"""


def ask(*command: str) -> str | None:
    """Return what a command prints; None where it fails or doesn't answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout
