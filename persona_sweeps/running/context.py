"""The objects that all groups of one process share."""

from __future__ import annotations

from dataclasses import dataclass, field

from persona_sweeps.lifecycle import stopping
from persona_sweeps.lifecycle.stopping import Stop
from persona_sweeps.planning.console import Console
from persona_sweeps.running.bases import BaseCache
from persona_sweeps.running.preparing import Preparer


@dataclass
class Context:
    """The runs' data, the base model, the console, and the request to stop."""

    data: Preparer
    console: Console
    bases: BaseCache = field(default_factory=BaseCache)
    stop: Stop = field(default_factory=stopping.current)

    @classmethod
    def of(cls, console: Console) -> Context:
        """Return a new context, which prepares data when runs need them."""
        return cls(Preparer(console), console)
