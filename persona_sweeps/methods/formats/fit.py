"""Check whether a folder's tensors for a layer fit that layer of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import nn

from persona_sweeps.models.layers import features


def misfit(
    folder: Path, layers: Mapping[str, nn.Module], path: str, inputs: int | None, outputs: int | None
) -> Iterator[str]:
    """Yield a sentence unless the model has a layer of this path with these features; None matches any number."""
    if path not in layers:
        yield f"{folder} adapts {path}, and this model has no such linear layer in its decoder."
        return
    layer_inputs, layer_outputs = features(layers[path])
    for saved, actual, side in ((inputs, layer_inputs, "inputs"), (outputs, layer_outputs, "outputs")):
        if saved is not None and saved != actual:
            yield f"{folder} adapts {path} with {saved} {side}, and this model's has {actual}."
