"""What this command is called: a checkout has the package `analysis`, a wheel has it inside of persona_sweeps."""

from __future__ import annotations

PROGRAM = "python -m analysis" if __package__ == "analysis" else "persona-sweeps analyze"
