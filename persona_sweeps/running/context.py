"""What the groups of one process share."""

from __future__ import annotations

from dataclasses import dataclass, field

from persona_sweeps.lifecycle import stopping
from persona_sweeps.lifecycle.stopping import Stop
from persona_sweeps.planning.console import Console
from persona_sweeps.running.bases import BaseCache
from persona_sweeps.running.preparing import Preparer


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
