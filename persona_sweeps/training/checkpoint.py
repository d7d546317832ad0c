"""A trial's state on disk, from which it goes on to the same result as if it had not been interrupted.

A checkpoint is a folder `step-000012` with the tensors (safetensors) and the rest (JSON, with a hash of both). It is
made under another name, flushed to the disk and renamed, so that it is there whole or not at all. Dropout and the order
of examples are functions of the trial's seed and step, so neither needs a generator's state.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from persona_sweeps.records.files import remove_drafts, replacing
from persona_sweeps.training.trial import Trial

FORMAT = 1
STATE, TENSORS = "state.json", "tensors.safetensors"
STEP, BROKEN = "step-", "broken-"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""what AdamW remembers of each parameter"""


class CheckpointError(Exception):
    """A checkpoint can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint, read into memory."""

    path: Path
    state: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def step(self) -> int:
        return int(self.state["progress"]["step"])

    @property
    def notes(self) -> Mapping[str, Any]:
        """What the one who saved it wanted to know again."""
        return self.state["notes"]


def save(trial: Trial, folder: Path, run_id: str, notes: Mapping[str, Any]) -> Path:
    """Write a trial's state as a new checkpoint in `folder`, remove older ones, and return its path.

    One of the same step is worth as much, and is left. Raises OSError when it can't be written; older ones stay then.
    """
    final = folder / f"{STEP}{trial.progress.step:06d}"
    if final.is_dir():
        return final
    with replacing(final) as draft:
        _write_tensors(_tensors(trial), draft / TENSORS)
        state = _state(trial) | {"format": FORMAT, "run_id": run_id, "notes": dict(notes)}
        state["sha256"] = _digest(state, draft / TENSORS)
        (draft / STATE).write_text(json.dumps(state), encoding="utf-8")
    for older in _found(folder):
        if older != final:
            shutil.rmtree(older, ignore_errors=True)
    return final


def newest(folder: Path, run_id: str) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest whole checkpoint of this run, and a sentence for each that isn't.

    What isn't whole is renamed to `broken-…`, and is neither used nor removed; what a kill left half made is removed.
    """
    notes: list[str] = []
    remove_drafts(folder / f"{STEP}*")
    for path in reversed(_found(folder)):
        try:
            return _read(path, run_id), notes
        except CheckpointError as error:
            notes.append(f"{path} can't be used and was set aside: {error}.")
            set_aside(path)
    return None, notes


def set_aside(path: Path) -> None:
    """Rename a checkpoint so that it isn't found again."""
    number = 0
    while (aside := path.with_name(f"{BROKEN}{path.name}-{number}")).exists():
        number += 1
    path.rename(aside)


def remove(folder: Path) -> None:
    """Remove a run's checkpoints; those set aside stay."""
    for path in _found(folder):
        shutil.rmtree(path, ignore_errors=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def restore(trial: Trial, checkpoint: Checkpoint) -> None:
    """Bring a fresh trial to where it was. Raises CheckpointError when it is another trial's; it is unchanged then."""
    tensors, state = checkpoint.tensors, checkpoint.state
    wanted = {name: tuple(tensor.shape) for name, tensor in _weights(trial)}
    stored = {name: tuple(tensors[name].shape) for name in wanted if name in tensors}
    if wanted != stored or state["total_steps"] != trial.total_steps:
        raise CheckpointError("it is of a trial with other weights or another number of steps")
    with torch.no_grad():
        for name, tensor in _weights(trial):
            tensor.copy_(tensors[name])
    for name, value in state["progress"].items():
        setattr(trial.progress, name, value)
    if "eval_items" in tensors:
        trial.progress.eval_items = tensors["eval_items"].numpy()
    trial.adapter.step = trial.progress.step
    trial.started = time.perf_counter() - state["seconds"]
    trial.skip_batches(trial.progress.step)
    if trial.total_steps and trial.progress.step:
        _restore_optimizer(trial, tensors)


def _restore_optimizer(trial: Trial, tensors: Mapping[str, Tensor]) -> None:
    held = trial.optimizer.state_dict()
    held["state"] = {
        index: {name: tensors[f"{name}.{index}"] for name in MOMENTS}
        for index in range(len(trial.parameters))
        if f"step.{index}" in tensors
    }
    trial.optimizer.load_state_dict(held)
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
    found = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in _weights(trial)}
    if trial.total_steps:
        for index, parameter in enumerate(_optimized(trial)):
            moments = trial.optimizer.state.get(parameter, {})
            found |= {f"{name}.{index}": moments[name].detach().cpu().clone() for name in MOMENTS if name in moments}
    if trial.progress.eval_items is not None:
        found["eval_items"] = torch.from_numpy(trial.progress.eval_items)
    return found


def _weights(trial: Trial) -> Iterator[tuple[str, Tensor]]:
    """Yield what is trained, and what LoRA's pairs begin at: another machine's SVD may choose other signs."""
    for index, parameter in enumerate(trial.parameters):
        yield f"parameter.{index}", parameter
    pairs = trial.adapter.lora.pairs if trial.adapter.lora is not None else {}
    for path, pair in pairs.items():
        for index, tensor in enumerate(pair.start or ()):
            yield f"start.{index}.{path}", tensor


def _optimized(trial: Trial) -> list[nn.Parameter]:
    """Return the parameters in the order in which the optimizer counts them."""
    return [parameter for group in trial.optimizer.param_groups for parameter in group["params"]]


def _read(path: Path, run_id: str) -> Checkpoint:
    try:
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise CheckpointError(f"{STATE} isn't one of format {FORMAT}")
        if state["run_id"] != run_id:
            raise CheckpointError(f"it is of run {state['run_id']}")
        if _digest(state, path / TENSORS) != state["sha256"]:
            raise CheckpointError(f"{STATE} or {TENSORS} isn't what was written")
        return Checkpoint(path, state, load_file(path / TENSORS))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"{type(error).__name__}: {error}") from error


def _found(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder by their steps, the newest last."""
    numbered = [(path.name.removeprefix(STEP), path) for path in folder.glob(f"{STEP}*") if path.is_dir()]
    return [path for _, path in sorted((int(step), path) for step, path in numbered if step.isdecimal())]


def _write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file. Raises OSError when it can't be written, for which the library has its own error."""
    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _digest(state: Mapping[str, Any], tensors: Path) -> str:
    """Return the SHA-256 (hex) of all that a checkpoint holds."""
    hashed = {name: value for name, value in state.items() if name != "sha256"}
    with tensors.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(hashed, sort_keys=True).encode())
    return digest.hexdigest()
