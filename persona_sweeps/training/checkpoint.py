"""Save a trial's state to disk, and resume from it with the same result as without an interruption.

A checkpoint is a folder `step-000012` with the tensors (safetensors) and the rest (JSON, with a hash of both). It is
written under another name, flushed to the disk and renamed, so that it exists completely or not at all. Dropout and the
order of examples are functions of the trial's seed and step, so neither needs a generator's state.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from persona_sweeps.errors import TrialError
from persona_sweeps.records.files import read_json, remove_drafts, replacing
from persona_sweeps.training.trial import Trial

FORMAT = 1
STATE, TENSORS = "state.json", "tensors.safetensors"
STEP, BROKEN = "step-", "broken-"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""AdamW's state of each parameter"""


class CheckpointError(Exception):
    """A checkpoint that can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint, read into memory."""

    path: Path
    state: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def step(self) -> int:
        return int(self.state["progress"]["step"])

    @property
    def notes(self) -> Mapping[str, Any]:
        """The notes that the caller saved with it."""
        return self.state["notes"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment at which a group was saved: a name for it, and the runs that were in training."""

    name: str
    runs: tuple[str, ...]
    first: bool
    """whether this run had no earlier checkpoint"""


def save(trial: Trial, folder: Path, run_id: str, notes: Mapping[str, Any], moment: Moment | None = None) -> Path:
    """Write a trial's state as a new checkpoint in `folder`, and return its path.

    An existing checkpoint of the same step is kept, since it is equal. Older ones stay, until `remove_older` is called:
    once all that belong to the same moment are written. Raises OSError if it can't be written.
    """
    final = folder / f"{STEP}{trial.progress.step:06d}"
    if final.is_dir():
        return final
    with replacing(final) as draft:
        _write_tensors(_tensors(trial), draft / TENSORS)
        state = _state(trial) | {"format": FORMAT, "run_id": run_id, "notes": dict(notes)}
        if moment is not None:
            state["moment"] = asdict(moment)
        state["sha256"] = _digest(state, draft / TENSORS)
        (draft / STATE).write_text(json.dumps(state), encoding="utf-8")
    return final


def remove_older(path: Path) -> None:
    """Remove all checkpoints of the run but this one."""
    for older in _checkpoints(path.parent):
        if older != path:
            shutil.rmtree(older, ignore_errors=True)


def moments(folder: Path) -> list[Moment | None]:
    """Return the moment of each checkpoint of a run, the newest first; None for one that doesn't say."""
    found: list[Moment | None] = []
    for path in reversed(_checkpoints(folder)):
        state = read_json(path / STATE) or {}
        try:
            moment = state["moment"]
            found.append(Moment(moment["name"], tuple(moment["runs"]), moment["first"]))
        except (KeyError, TypeError):
            found.append(None)
    return found


def newest(
    folder: Path, run_id: str, is_wanted: Callable[[Moment | None], bool] = lambda moment: True
) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest usable checkpoint of this run of a wanted moment, and a sentence for each unusable one.

    An unusable checkpoint is renamed to `broken-…`, neither used nor removed. Drafts that a killed process left are
    removed. Raises TrialError for one that this user may not read.
    """
    notes: list[str] = []
    remove_drafts(folder / f"{STEP}*")
    for path, moment in zip(reversed(_checkpoints(folder)), moments(folder), strict=True):
        if not is_wanted(moment):
            continue
        try:
            return _read(path, run_id), notes
        except CheckpointError as error:
            notes.append(f"{path} can't be used and was set aside: {error}.")
            set_aside(path)
    return None, notes


def set_aside(path: Path) -> None:
    """Rename a checkpoint so that it isn't used again."""
    number = 0
    while (renamed := path.with_name(f"{BROKEN}{path.name}-{number}")).exists():
        number += 1
    path.rename(renamed)


def remove(folder: Path) -> None:
    """Remove a run's checkpoints, except those set aside."""
    for path in _checkpoints(folder):
        shutil.rmtree(path, ignore_errors=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def restore(trial: Trial, checkpoint: Checkpoint) -> None:
    """Restore a fresh trial's state. Raises CheckpointError, with the trial unchanged, if another trial was saved."""
    tensors, state = checkpoint.tensors, checkpoint.state
    expected = {name: tuple(tensor.shape) for name, tensor in _weights(trial)}
    stored = {name: tuple(tensors[name].shape) for name in expected if name in tensors}
    if expected != stored or state["total_steps"] != trial.total_steps:
        raise CheckpointError("it belongs to a trial with other weights or another number of steps")
    with torch.no_grad():
        for name, tensor in _weights(trial):
            tensor.copy_(tensors[name])
    for name, value in state["progress"].items():
        setattr(trial.progress, name, value)
    if "eval_items" in tensors:
        trial.progress.eval_items = tensors["eval_items"].numpy()
    if "best.0" in tensors:
        trial.best = [tensors[f"best.{index}"].to(p.device) for index, p in enumerate(trial.parameters)]
    trial.adapter.step = trial.progress.step
    trial.started = time.perf_counter() - state["seconds"]
    trial.skip_batches(trial.progress.step)
    if trial.total_steps and trial.progress.step:
        _restore_optimizer(trial, tensors)


def _restore_optimizer(trial: Trial, tensors: Mapping[str, Tensor]) -> None:
    optimizer_state = trial.optimizer.state_dict()
    optimizer_state["state"] = {
        index: {name: tensors[f"{name}.{index}"] for name in MOMENTS}
        for index in range(len(trial.parameters))
        if f"step.{index}" in tensors
    }
    trial.optimizer.load_state_dict(optimizer_state)
    trial.skip_schedule(trial.progress.step)


def _state(trial: Trial) -> dict[str, Any]:
    progress = asdict(trial.progress)
    del progress["eval_items"]
    return {
        "progress": progress,
        "total_steps": trial.total_steps,
        "seconds": time.perf_counter() - trial.started,
    }


def _tensors(trial: Trial) -> dict[str, Tensor]:
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in _weights(trial)}
    if trial.total_steps:
        for index, parameter in enumerate(_optimized(trial)):
            moments = trial.optimizer.state.get(parameter, {})
            tensors |= {f"{name}.{index}": moments[name].detach().cpu().clone() for name in MOMENTS if name in moments}
    for index, tensor in enumerate(trial.best or ()):
        tensors[f"best.{index}"] = tensor.detach().cpu().contiguous()
    if trial.progress.eval_items is not None:
        tensors["eval_items"] = torch.from_numpy(trial.progress.eval_items)
    return tensors


def _weights(trial: Trial) -> Iterator[tuple[str, Tensor]]:
    """Yield the trained weights, and the initial values of LoRA's pairs: another machine's SVD may have other signs."""
    for index, parameter in enumerate(trial.parameters):
        yield f"parameter.{index}", parameter
    pairs = trial.adapter.lora.pairs if trial.adapter.lora is not None else {}
    for path, pair in pairs.items():
        for index, tensor in enumerate(pair.start or ()):
            yield f"start.{index}.{path}", tensor


def _optimized(trial: Trial) -> list[nn.Parameter]:
    """Return the parameters in the optimizer's order."""
    return [parameter for group in trial.optimizer.param_groups for parameter in group["params"]]


def _read(path: Path, run_id: str) -> Checkpoint:
    try:
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise CheckpointError(f"{STATE} doesn't have format {FORMAT}")
        if state["run_id"] != run_id:
            raise CheckpointError(f"it belongs to run {state['run_id']}")
        if _digest(state, path / TENSORS) != state["sha256"]:
            raise CheckpointError(f"{STATE} or {TENSORS} has changed since it was written")
        return Checkpoint(path, state, load_file(path / TENSORS))
    except PermissionError as error:  # it is sound, and another user's: training anew would lose what they trained
        raise TrialError(
            f"{error.filename or path} can't be read for want of permission: ask the user who trained it, or give its "
            "group the right to read it"
        ) from error
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"{type(error).__name__}: {error}") from error


def _checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest last."""
    numbered = [(path.name.removeprefix(STEP), path) for path in folder.glob(f"{STEP}*") if path.is_dir()]
    return [path for _, path in sorted((int(step), path) for step, path in numbered if step.isdecimal())]


def _write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file. Raises OSError, in place of the library's own error, if it can't be written."""
    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _digest(state: Mapping[str, Any], tensors: Path) -> str:
    """Return the SHA-256 (hex) of a checkpoint's content."""
    hashed = {name: value for name, value in state.items() if name != "sha256"}
    with tensors.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(hashed, sort_keys=True).encode())
    return digest.hexdigest()
