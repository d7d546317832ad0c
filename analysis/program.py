"""What this command is called: a checkout has the package `analysis`, a wheel has it inside of persona_sweeps."""

from __future__ import annotations

_IN_CHECKOUT = __package__ == "analysis"
PROGRAM = "python -m analysis" if _IN_CHECKOUT else "persona-sweeps analyze"
DEMO = "make demo" if _IN_CHECKOUT else "persona-sweeps sweep experiment=demo"
SWEEP = "python launch.py -m" if _IN_CHECKOUT else "persona-sweeps sweep -m"
