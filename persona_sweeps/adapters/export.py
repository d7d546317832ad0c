"""Save an adapter in PEFT's own format, so that `PeftModel.from_pretrained` loads it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from peft import LoraConfig, PromptTuningConfig, TaskType
from peft import PeftConfig as SavedConfig
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from persona_sweeps.adapters.lora import linear_layers
from persona_sweeps.adapters.weights import Adapter, LoraWeights, PromptWeights


def export_adapter(adapter: Adapter, model: PreTrainedModel, base_name: str, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors to `folder`, replacing it whole.

    `base_name` is what PEFT will look for as the base model: a Hub id or a folder. Raises ValueError for an adapter
    with nothing to save, or with more parts than one PEFT folder holds.
    """
    if (adapter.lora is None) == (adapter.prompt is None):
        raise ValueError("PEFT's format holds one method: this adapter has none or several.")
    if adapter.lora is not None:
        config, tensors = _lora(adapter.lora, model)
    else:
        assert adapter.prompt is not None
        config, tensors = _prompt(adapter.prompt, model)
    config.base_model_name_or_path = base_name
    config.inference_mode = True
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".adapter-") as written:
        config.save_pretrained(written)
        saved = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(saved, Path(written) / "adapter_model.safetensors", metadata={"format": "pt"})
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(written, folder)
        os.mkdir(written)  # what the context manager removes


def _lora(lora: LoraWeights, model: PreTrainedModel) -> tuple[SavedConfig, dict[str, Tensor]]:
    layers = linear_layers(model)
    tensors: dict[str, Tensor] = {}
    for path, (a, b) in lora.pairs.items():
        tensors[f"base_model.model.{path}.lora_A.weight"] = a
        tensors[f"base_model.model.{path}.lora_B.weight"] = b.T
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=lora.r,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # PEFT divides by r: a float is as good
        lora_dropout=lora.dropout,
        target_modules=_shortest_names(list(lora.pairs), list(layers)),
        fan_in_fan_out=any(isinstance(layers[path], Conv1D) for path in lora.pairs),
    )
    return config, tensors


def _shortest_names(chosen: list[str], layers: list[str]) -> list[str]:
    """Name the chosen layers by their last parts, as people do in PEFT, where that names no other layer."""
    names = {path.rsplit(".", 1)[-1] for path in chosen}
    named = [path for path in layers if path.rsplit(".", 1)[-1] in names]
    return sorted(names) if set(named) == set(chosen) else chosen


def _prompt(prompt: PromptWeights, model: PreTrainedModel) -> tuple[SavedConfig, dict[str, Tensor]]:
    text = model.config.get_text_config()
    config = PromptTuningConfig(
        task_type=TaskType.CAUSAL_LM,
        num_virtual_tokens=len(prompt),
        token_dim=prompt.embeddings.shape[1],
        num_transformer_submodules=1,
        num_attention_heads=text.num_attention_heads,
        num_layers=text.num_hidden_layers,
    )
    return config, {"prompt_embeddings": prompt.embeddings}
