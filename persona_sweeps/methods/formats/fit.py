"""Whether what a folder has for a layer fits the layer of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import nn

from persona_sweeps.models.layers import features


def misfit(
    folder: Path, layers: Mapping[str, nn.Module], path: str, inputs: int | None, outputs: int | None
) -> Iterator[str]:
    """Yield a sentence unless there is a layer of this path with these features; None fits any number."""
    if path not in layers:
        yield f"{folder} adapts {path}, and this model has no such linear layer in its decoder."
        return
    width = features(layers[path])
    for wanted, there, side in ((inputs, width[0], "inputs"), (outputs, width[1], "outputs")):
        if wanted is not None and wanted != there:
            yield f"{folder} adapts {path} with {wanted} {side}, and this model's has {there}."
