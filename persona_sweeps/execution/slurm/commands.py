"""SLURM's own commands, asked with a time limit: a controller that doesn't answer says nothing."""

from __future__ import annotations

import subprocess

COMMAND_SECONDS = 60
"""after which a command of SLURM is taken to have failed: its controller may be down"""


def run(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Run a command; None where it isn't there or doesn't answer."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    except (subprocess.SubprocessError, OSError):
        return None


def ask(*command: str) -> str | None:
    """Return what a command prints; None where it fails or doesn't answer."""
    done = run(*command)
    return done.stdout if done is not None and done.returncode == 0 else None
