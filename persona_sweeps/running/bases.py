"""Keep the base model in memory between groups that use the same one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from persona_sweeps.config.schema import Precision
from persona_sweeps.device import resolve_device
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.review import stored_model
from persona_sweeps.running.peak_memory import restart_peaks

if TYPE_CHECKING:
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.limits import Limits


class BaseCache:
    """Keeps the last base model, since the next group often uses the same one."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._base: BaseModel | None = None
        self._limits: dict[tuple[object, ...] | None, Limits] = {}

    def get(self, cell: Cell, note: Callable[[str], None]) -> BaseModel:
        """Return the cell's base model, loading it unless it was the last one; restart the peaks of memory."""
        import torch

        from persona_sweeps.models.loading import load_base
        from persona_sweeps.training.limits import limits_for
        from persona_sweeps.training.memory import release_memory

        config = cell.config
        device = resolve_device(config.device)
        key = (str(config.model), str(config.quantization), config.train.precision, device)
        if key != self._key:
            self._base = None
        restart_peaks()
        if self._base is None:
            note(f"Loading {stored_model(config)} …")
            dtype = torch.bfloat16 if config.train.precision is Precision.bf16 else torch.float32
            self._base, self._key = load_base(config.model, dtype, device, config.quantization), key
            if key not in self._limits:
                self._limits[key] = limits_for(config, device)
            release_memory()  # quantizing leaves fragments that are too small for training
        return self._base

    @property
    def limits(self) -> Limits:
        """The pass limits of the last base model, as lowered so far; they outlive the base model."""
        return self._limits[self._key]
