"""(IA)³ in PEFT's format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from persona_sweeps.methods.formats.files import PeftFiles
from persona_sweeps.methods.formats.format import MERGE, AdapterFormat

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from persona_sweeps.methods.export import Part
    from persona_sweeps.methods.ia3_layers import Ia3Weights
    from persona_sweeps.methods.weights import Adapter

TENSOR = re.compile(r"(?:base_model\.model\.)?(.+)\.ia3_l(?:\.weight)?")


class Ia3Format(AdapterFormat):
    """(IA)³: factors for a layer's outputs are saved as [out, 1], those for its inputs as [1, in]."""

    harmless = ("feedforward_modules", "fan_in_fan_out", "init_ia3_weights")
    refused = {"modules_to_save": "layers that were trained whole"}

    def title(self, files: PeftFiles) -> str:
        return "(IA)³"

    def tensor_refusals(self, files: PeftFiles) -> Iterator[str]:
        for name, shape in files.shapes.items():
            if not TENSOR.fullmatch(name):
                yield f"{files.folder} holds {name}, which is no factor of a layer and can't be applied here: {MERGE}."
            elif len(shape) != 2 or 1 not in shape:
                yield f"{files.folder}: {name} has shape {list(shape)}, which is no row of factors."

    def misfits(self, files: PeftFiles, model: PreTrainedModel) -> Iterator[str]:
        from persona_sweeps.methods.formats.fit import misfit
        from persona_sweeps.models.layers import linear_layers

        layers = linear_layers(model)
        for name, (rows, columns) in files.shapes.items():
            scales_inputs = rows == 1
            inputs, outputs = (columns, None) if scales_inputs else (None, rows)
            yield from misfit(files.folder, layers, _path(name), inputs, outputs)

    def read(self, files: PeftFiles, model: PreTrainedModel) -> Adapter:
        from torch import nn

        from persona_sweeps.methods.formats.read import tensors_of
        from persona_sweeps.methods.ia3_layers import Ia3Weights
        from persona_sweeps.methods.weights import Adapter
        from persona_sweeps.models.layers import linear_layers

        layers = linear_layers(model)
        weights = Ia3Weights({}, {})
        for name, factors in tensors_of(files).items():
            path, side = _path(name), weights.inputs if len(factors) == 1 else weights.outputs
            side[path] = nn.Parameter(factors.flatten().to(next(layers[path].parameters()).device))
        return Adapter(ia3=weights)


def _path(name: str) -> str:
    match = TENSOR.fullmatch(name)
    assert match is not None, "refused before"
    return match[1]


def write_ia3(ia3: Ia3Weights, model: PreTrainedModel) -> Part:
    """Return the config and the tensors of (IA)³."""
    from peft import IA3Config, TaskType

    from persona_sweeps.models.layers import linear_layers, shortest_names, transposed

    chosen = [*ia3.outputs, *ia3.inputs]
    names = shortest_names(chosen, list(linear_layers(model)))
    inner = [name for name in names if any(path.endswith(name) for path in ia3.inputs)]
    if any(path.endswith(name) for name in inner for path in ia3.outputs):
        names, inner = chosen, list(ia3.inputs)
    config = IA3Config(
        task_type=TaskType.CAUSAL_LM,
        target_modules=names,
        feedforward_modules=inner,
        fan_in_fan_out=transposed(model, chosen),
    )
    tensors = {f"base_model.model.{path}.ia3_l": factor[:, None] for path, factor in ia3.outputs.items()}
    tensors |= {f"base_model.model.{path}.ia3_l": factor[None] for path, factor in ia3.inputs.items()}
    return config, tensors
