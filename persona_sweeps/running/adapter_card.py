"""Write README.md beside an adapter's files: which weights it was trained on, and how to load it on them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

from persona_sweeps import __version__
from persona_sweeps.models.source import Origin, Weights
from persona_sweeps.planning.cells import Cell
from persona_sweeps.records.files import replacing_file
from persona_sweeps.wording import harmless

FILE = "README.md"


def write_adapter_card(cell: Cell, fingerprint: str) -> None:
    """Write the card of a run's adapter, where it has one; `fingerprint` is that of the weights it was trained on.

    Raises OSError.
    """
    if cell.folder.adapter.is_dir():
        with replacing_file(cell.folder.adapter / FILE) as file:
            file.write("\n".join(_lines(cell, fingerprint)).encode())


def _lines(cell: Cell, fingerprint: str) -> Iterator[str]:
    model, config, weights = cell.config.model, cell.config, cell.weights
    assert weights is not None
    yield "---"
    if weights.origin in (Origin.package, Origin.hub):
        yield f"base_model: {json.dumps(model.hub_id)}"
    yield "library_name: peft"
    yield "tags: [persona-sweeps]"
    yield "---"
    yield f"# {cell.name}"
    yield ""
    data = harmless(config.dataset.label.replace("\n", " "))
    yield f"{config.peft.label} on `{model.name}`, trained on {data}"
    yield f"by persona-sweeps {__version__} (run {cell.run_id})."
    yield ""
    yield f"Trained on {_weights(weights, model.hub_id)}, in {config.train.precision.value}{_stored(cell)}."
    yield f"Their fingerprint is `{fingerprint}`."
    yield ""
    if weights.origin is Origin.package:
        yield "Those aren't the Hub's weights, which `adapter_config.json` names:"
        yield "on them it answers a little differently."
    yield "This loads the weights that it was trained on, and evaluates it:"
    yield ""
    yield f"    python launch.py {_model(cell)} peft=adapter peft.path={shlex.quote(str(cell.folder.adapter))}"
    yield ""


def _weights(weights: Weights, hub_id: str) -> str:
    if weights.origin is Origin.package:
        path = Path(weights.location)
        return f"the de-quantized weights of `{path.name}` (package `{path.parent.name.replace('_', '-')}`)"
    if weights.origin is Origin.folder:
        return f"the weights in the folder `{Path(weights.location).name}`"
    made_here = {Origin.tiny: "the weights of a tiny twin, which are random", Origin.random: "random weights"}
    return made_here.get(weights.origin, f"the Hub's {hub_id}")


def _stored(cell: Cell) -> str:
    method = cell.config.quantization.method
    return "" if method == "none" else f", quantized to {method}"


def _model(cell: Cell) -> str:
    """Return the overrides that choose the model, as the command had them."""
    of_model = [text for text in cell.overrides if text.startswith(("model=", "model."))]
    return shlex.join(of_model) if of_model else f"model={cell.config.model.name}"
