"""Read an adapter from a folder: safetensors only, never a pickle."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from persona_sweeps.methods.formats.files import AdapterError, PeftFiles, find_files
from persona_sweeps.methods.formats.format import format_of
from persona_sweeps.methods.weights import Adapter


def read_adapter(folder: Path, model: PreTrainedModel) -> Adapter:
    """Return the adapter in a folder in PEFT's format, for this model.

    Raises AdapterError if it can't be read, has something that can't be applied, or doesn't fit the model.
    """
    adapter = Adapter()
    for files in find_files(folder):
        format = format_of(files)
        for problem in format.problems(files, model):
            raise AdapterError(problem)
        part = format.read(files, model)
        for name in ("lora", "ia3", "prompt", "prefix"):
            if getattr(part, name) is not None:
                setattr(adapter, name, getattr(part, name))
    return adapter


def tensors_of(files: PeftFiles) -> dict[str, Tensor]:
    """Return the tensors of a folder by name, in fp32 on the CPU. Raises AdapterError if they can't be read."""
    try:
        return {name: tensor.float() for name, tensor in load_file(files.tensors).items()}
    except (OSError, SafetensorError) as error:
        raise files.error(f"can't be read ({error}).") from error
