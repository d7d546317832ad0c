"""`peft.start_from`: begin with the weights that another run trained, or that an adapter's folder holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.errors import ConfigError, did_you_mean
from persona_sweeps.methods.formats.files import CONFIG, PARTS, AdapterError

if TYPE_CHECKING:
    from torch import Tensor

    from persona_sweeps.methods.weights import Adapter

SHOWN = 5


def find_start(name: str, output_dir: str) -> Path:
    """Return the adapter's folder that `start_from` names: a folder, a run's folder, or a run's name or id.

    Raises ConfigError for a run that doesn't exist or has no adapter.
    """
    given = Path(name).expanduser()
    runs = Path(output_dir) / "runs"
    found = [given] if given.is_dir() else sorted(p for p in runs.glob("*") if p.name == name or _id(p) == name)
    if not found:
        names = [path.name for path in runs.glob("*")]
        hint = did_you_mean(name, [*names, *(_id(runs / known) for known in names)])
        raise ConfigError(f"peft.start_from={name} is neither a folder nor a run in {runs}.{hint}")
    for folder in (found[0], found[0] / "adapter"):
        if (folder / CONFIG).is_file() or all((folder / part / CONFIG).is_file() for part in PARTS):
            return folder
    raise ConfigError(
        f"peft.start_from={name}: {found[0]} holds no adapter. A run has one when it is completed; a whole model "
        "(model/) is given as model.hub_id."
    )


def _id(run: Path) -> str:
    return run.name.rpartition("-")[2]


def start_weights(fresh: Adapter, trained: Adapter, folder: Path) -> None:
    """Copy trained weights into a fresh adapter, in place. Raises AdapterError if they belong to another one."""
    import torch

    target, source = dict(_tensors(fresh)), dict(_tensors(trained))
    if target.keys() != source.keys():
        odd = sorted(target.keys() ^ source.keys())
        raise AdapterError(
            f"{folder} (peft.start_from) has other weights than this run's method, such as {odd[0]}: choose the same "
            "peft= and peft.target_modules."
        )
    for name, tensor in target.items():
        if tensor.shape != source[name].shape:
            shapes = f"{list(source[name].shape)}, and this run's has {list(tensor.shape)}"
            raise AdapterError(
                f"{folder} (peft.start_from): {name} has the shape {shapes}: set the same peft.r or "
                "peft.num_virtual_tokens."
            )
    _require_scales(fresh, trained, folder)
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])


def _tensors(adapter: Adapter) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of an adapter by name; the initial values of its pairs are among them."""
    for path, pair in (adapter.lora.pairs if adapter.lora is not None else {}).items():
        for index, tensor in enumerate((*pair.parameters(), *(pair.start or ()))):
            yield f"{path}.{index}", tensor
    if adapter.ia3 is not None:
        for path, factors in (*adapter.ia3.outputs.items(), *adapter.ia3.inputs.items()):
            yield path, factors
    for name, part in (("prompt", adapter.prompt), ("prefix", adapter.prefix)):
        for index, tensor in enumerate(part.parameters() if part is not None else ()):
            yield f"{name}.{index}", tensor


def _require_scales(fresh: Adapter, trained: Adapter, folder: Path) -> None:
    """Require the same factor of each pair's product: otherwise the first step would begin elsewhere."""
    if fresh.lora is None or trained.lora is None:
        return
    for path, pair in fresh.lora.pairs.items():
        other = trained.lora.pairs[path].scale
        if abs(pair.scale - other) > 1e-6 * abs(other):
            raise AdapterError(
                f"{folder} (peft.start_from) counts its pairs {other:g} times, and this run {pair.scale:g} times: set "
                "the same peft.alpha."
            )
