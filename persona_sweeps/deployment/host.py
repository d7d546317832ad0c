"""A base model in memory with the adapters of some runs on it, which answer side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from persona_sweeps.config.schema import DeviceKind, Precision, RunConfig, read_config
from persona_sweeps.device import resolve_device
from persona_sweeps.errors import UserError, did_you_mean
from persona_sweeps.records.folders import HYDRA_FILES, RunFolder
from persona_sweeps.records.run import has_trained, read_record

if TYPE_CHECKING:
    import torch

    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.engine import Engine


@dataclass(frozen=True)
class FinishedRun:
    """A completed run's folder, with its config and its record."""

    folder: RunFolder
    config: RunConfig
    record: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.path.name

    @property
    def dtype(self) -> torch.dtype:
        """The precision in which its base model computed."""
        import torch

        return torch.bfloat16 if self.config.train.precision is Precision.bf16 else torch.float32

    def untuned(self) -> FinishedRun:
        """Return the same, as the base model answers without what was trained."""
        from persona_sweeps.prediction.references.untuned import Untuned

        return replace(self, config=replace(self.config, peft=Untuned()))


def read_run(folder: RunFolder) -> FinishedRun:
    """Return a completed run. Raises `UserError` if it isn't completed, or if nothing of it can be loaded."""
    record = read_record(folder)
    if record is None or record["status"] != "completed" or not has_trained(folder, record):
        state = "has no record" if record is None else f"is {record['status']}"
        raise UserError(f"The run {folder.path} {state}, with nothing to load: the same command trains it.")
    path = folder.hydra / HYDRA_FILES[0]
    if not path.is_file():
        raise UserError(f"{path} is missing, which says how the run was configured.")
    config = read_config(path)
    if not config.peft.has_model:
        raise UserError(f"peft={config.peft.method} answers without a model: its texts are in {folder.predictions}.")
    return FinishedRun(folder, config, record)


def device_of(name: str) -> str:
    """Return the device that auto, cpu or cuda means here. Raises `UserError`."""
    known = [kind.value for kind in DeviceKind]
    if name not in known:
        raise UserError(f"device={name} is none of {', '.join(known)}.{did_you_mean(name, known)}")
    return resolve_device(DeviceKind(name))


class Host:
    """A base model with the adapters of runs that all have it; `engine` answers for the run of an index."""

    def __init__(self, runs: Sequence[FinishedRun], device: str = "cpu") -> None:
        """Load the base model of these runs, and their adapters.

        Raises `UserError` if they don't share one, or if one of several trained the model's own weights.
        """
        from persona_sweeps.methods.stack import AdapterStack
        from persona_sweeps.models.loading import load_base
        from persona_sweeps.training.engine import Engine
        from persona_sweeps.training.limits import limits_for

        first = runs[0]
        for run in runs[1:]:
            if not shares_base(first, run):
                raise UserError(f"{run.name} and {first.name} have different base models, or other precisions of one.")
        self.runs, config = list(runs), first.config
        self.base: BaseModel = load_base(config.model, first.dtype, device, config.quantization)
        self.adapters = [run.config.peft.load(self.base.model, run.folder.path) for run in runs]
        if len(runs) > 1 and any(adapter.full is not None for adapter in self.adapters):
            raise UserError("A run that trained all of the model's weights shares them with no other: load it alone.")
        self._stack = AdapterStack(self.base.model, self.adapters)
        self.engine: Engine = Engine(self.base.model, self._stack, [], limits_for(config, device))

    def close(self) -> None:
        """Take the adapters off the base model, which is as it was loaded from then on."""
        self._stack.close()


def shares_base(first: FinishedRun, second: FinishedRun) -> bool:
    """Whether two runs answer with the same weights, stored and computed with in the same way."""

    def base(run: FinishedRun) -> list[object]:
        return [run.config.model, run.config.quantization, run.config.train.precision]

    return base(first) == base(second)
