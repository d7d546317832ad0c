"""Save an adapter in PEFT's format, which `PeftModel.from_pretrained` loads, or a whole model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from persona_sweeps.methods.formats.files import TENSORS
from persona_sweeps.methods.formats.ia3 import write_ia3
from persona_sweeps.methods.formats.lora import write_lora
from persona_sweeps.methods.formats.prefix import write_prefix
from persona_sweeps.methods.formats.prompt import write_prompt
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.progress_bars import no_progress_bars
from persona_sweeps.records.files import replacing

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedTokenizerBase

    from persona_sweeps.methods.full_weights import FullWeights

    Part = tuple[PeftConfig, dict[str, Tensor]]
    """the config and the tensors of one method's folder"""


def export_adapter(adapter: Adapter, model: PreTrainedModel, base_name: str, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors to `folder`, replacing all of it.

    An adapter with two parts, LoRA and a soft prompt, gets two folders, lora/ and prompt/ in `folder`, since PEFT's
    format holds one method. `base_name` is the base model that PEFT will load: a Hub id or a folder. Raises ValueError
    for an adapter with nothing to save.
    """
    parts = _parts(adapter, model)
    if not parts:
        raise ValueError("This adapter has nothing that PEFT's format holds.")
    with replacing(folder) as written:
        for name, (config, tensors) in parts.items():
            config.base_model_name_or_path = base_name
            config.inference_mode = True
            _save(config, tensors, written if len(parts) == 1 else written / name)


def export_model(
    weights: FullWeights, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Write a model with these weights, and its tokenizer, to `folder`, replacing all of it; model.hub_id can name it.

    The weights are rounded to the precision in which the model computes.
    """
    state = model.state_dict()
    parameters = dict(model.named_parameters())
    rounded = {name: tensor.detach().to(parameters[name].dtype) for name, tensor in weights.tensors.items()}
    by_parameter = {id(parameters[name]): tensor for name, tensor in rounded.items()}
    for name, parameter in model.named_parameters(remove_duplicate=False):  # tied ones by all their names
        state[name] = by_parameter.get(id(parameter), state[name])
    with replacing(folder) as written, no_progress_bars():
        model.save_pretrained(written, state_dict=state)
        tokenizer.save_pretrained(written)


def _parts(adapter: Adapter, model: PreTrainedModel) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    if adapter.lora is not None:
        parts["lora"] = write_lora(adapter.lora, model)
    if adapter.ia3 is not None:
        parts["ia3"] = write_ia3(adapter.ia3, model)
    if adapter.prompt is not None:
        parts["prompt"] = write_prompt(adapter.prompt, model)
    if adapter.prefix is not None:
        parts["prefix"] = write_prefix(adapter.prefix)
    return parts


def _save(config: PeftConfig, tensors: Mapping[str, Tensor], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    config.save_pretrained(str(folder))
    saved = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(saved, folder / TENSORS, metadata={"format": "pt"})
