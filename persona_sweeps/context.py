"""What the groups of one process share."""

from __future__ import annotations

from dataclasses import dataclass, field

from persona_sweeps import stopping
from persona_sweeps.bases import BaseCache
from persona_sweeps.console import Console
from persona_sweeps.preparing import Preparer
from persona_sweeps.stopping import Stop


@dataclass
class Context:
    """The data of runs, the base model, what a person sees, and whether the process has been asked to stop."""

    data: Preparer
    console: Console
    bases: BaseCache = field(default_factory=BaseCache)
    stop: Stop = field(default_factory=stopping.current)

    @classmethod
    def of(cls, console: Console) -> Context:
        """Return a fresh context that prepares data as runs ask for them."""
        return cls(Preparer(console), console)
