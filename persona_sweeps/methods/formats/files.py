"""Read what can be known about a folder in PEFT's format without torch: its config, and its tensors' shapes."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persona_sweeps.errors import TrialError

CONFIG, TENSORS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
PARTS = ("lora", "prompt")
"""folders inside the export of an adapter with two parts, since PEFT's format holds one method"""
LONGEST_HEADER = 100_000_000
"""bytes; the limit of safetensors itself"""


class AdapterError(TrialError):
    """An adapter's folder can't be read, or doesn't fit the model; the message begins with the folder."""


@dataclass(frozen=True, slots=True)
class PeftFiles:
    """One method's folder: `config` is adapter_config.json, `shapes` has the tensors' shapes by name."""

    folder: Path
    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def tensors(self) -> Path:
        return self.folder / TENSORS

    @property
    def peft_type(self) -> str:
        return str(self.config.get("peft_type"))

    def error(self, text: str) -> AdapterError:
        return AdapterError(f"{self.folder} {text}")


def find_files(folder: Path) -> list[PeftFiles]:
    """Return the parts of an adapter's folder: the folder itself, or lora/ and prompt/ inside an export of both.

    Raises AdapterError for a folder that doesn't exist or isn't in PEFT's format with safetensors.
    """
    if not (folder / CONFIG).is_file() and all((folder / part / CONFIG).is_file() for part in PARTS):
        return [_read(folder / part) for part in PARTS]
    return [_read(folder)]


def _read(folder: Path) -> PeftFiles:
    if not folder.is_dir():
        raise AdapterError(
            f"{folder} is no folder here: give one that PEFT's save_pretrained wrote, or download it first with "
            "hf download ID --local-dir FOLDER."
        )
    if not (folder / CONFIG).is_file():
        raise AdapterError(f"{folder} has no {CONFIG}, so it holds no PEFT adapter{_hint(folder)}.")
    if not (folder / TENSORS).is_file():
        if (folder / PICKLE).is_file():
            raise AdapterError(
                f"{folder} has {PICKLE} and no {TENSORS}: a pickle can run any code, so it is never read here. If you "
                "trust it, load it with PEFT and save it again with save_pretrained, which writes safetensors."
            )
        raise AdapterError(f"{folder} has no {TENSORS}, so its weights are missing.")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"{folder}: its {CONFIG} can't be read ({error}).") from error
    if not isinstance(config, dict):
        raise AdapterError(f"{folder}: its {CONFIG} is no JSON object.")
    return PeftFiles(folder, config, _shapes(folder / TENSORS))


def _hint(folder: Path) -> str:
    """Return a clause that says where an adapter is instead, or what the folder holds."""
    inside = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
    if inside:
        return f"; {' and '.join(inside)} inside it {'does' if len(inside) == 1 else 'do'}"
    return "; it is a whole model: give it as model.hub_id" if (folder / "config.json").is_file() else ""


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a safetensors file's tensors, from its header: 8 bytes of length, then JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > LONGEST_HEADER:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if path.stat().st_size != 8 + length + end:
            raise ValueError("it was cut short, or is longer than it says")
        return {name: tuple(map(int, entry["shape"])) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise AdapterError(f"{path.parent}: its {path.name} can't be read ({error}).") from error


def numbers(files: PeftFiles) -> int:
    """Return how many numbers the tensors hold together."""
    return sum(math.prod(shape) for shape in files.shapes.values())
