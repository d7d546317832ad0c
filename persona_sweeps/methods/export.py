"""Save an adapter in PEFT's own format, so that `PeftModel.from_pretrained` loads it."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, TaskType
from peft import PeftConfig as SavedConfig
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from persona_sweeps.methods.prompt import EncodedPrompt
from persona_sweeps.methods.weights import Adapter, Ia3Weights, LoraWeights, PrefixWeights, SoftPrompt
from persona_sweeps.models.layers import linear_layers, shortest_names

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Saved = tuple[SavedConfig, dict[str, Tensor]]


def export_adapter(adapter: Adapter, model: PreTrainedModel, base_name: str, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors to `folder`, replacing it whole.

    An adapter of two parts, LoRA and a soft prompt, takes a folder each, lora/ and prompt/ in `folder`: PEFT's format
    holds one method. `base_name` is what PEFT will look for as the base model: a Hub id or a folder. Raises ValueError
    for an adapter with nothing to save.
    """
    parts = _parts(adapter, model)
    if not parts:
        raise ValueError("This adapter has nothing that PEFT's format holds.")
    with _replacing(folder) as written:
        for name, (config, tensors) in parts.items():
            config.base_model_name_or_path = base_name
            config.inference_mode = True
            _save(config, tensors, written if len(parts) == 1 else written / name)


def export_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a fully trained model with its tokenizer to `folder`, which model.hub_id takes; replace it whole."""
    with _replacing(folder) as written:
        model.save_pretrained(written)
        tokenizer.save_pretrained(written)


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Give a folder to write to, which then takes the place of `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as written:
        yield Path(written)
        _flush_tree(Path(written))
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(written, folder)
        os.mkdir(written)  # what the context manager removes


def _flush_tree(folder: Path) -> None:
    """Have the disk hold all files in a folder: a record that says completed must not be there before them."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _save(config: SavedConfig, tensors: Mapping[str, Tensor], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    config.save_pretrained(str(folder))
    saved = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(saved, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def _parts(adapter: Adapter, model: PreTrainedModel) -> dict[str, Saved]:
    parts: dict[str, Saved] = {}
    if adapter.lora is not None:
        parts["lora"] = _lora(adapter.lora, model)
    if adapter.ia3 is not None:
        parts["ia3"] = _ia3(adapter.ia3, model)
    if adapter.prompt is not None:
        parts["prompt"] = _prompt(adapter.prompt, model)
    if adapter.prefix is not None:
        parts["prefix"] = _prefix(adapter.prefix, model)
    return parts


def _lora(lora: LoraWeights, model: PreTrainedModel) -> Saved:
    """Pairs that began at A₀, B₀ are saved with twice the rank, as [A, A₀] and [B, −B₀]: the base stays as it is."""
    layers = linear_layers(model)
    tensors: dict[str, Tensor] = {}
    for path, pair in lora.pairs.items():
        a, b = pair.a.detach(), pair.b.detach()
        if pair.start is not None:
            a, b = torch.cat((a, pair.start[0])), torch.cat((b, -pair.start[1]))
        tensors[f"base_model.model.{path}.lora_A.weight"] = a
        tensors[f"base_model.model.{path}.lora_B.weight"] = b.T
        if pair.magnitude is not None:
            tensors[f"base_model.model.{path}.lora_magnitude_vector"] = pair.magnitude
    first = next(iter(lora.pairs.values()))
    doubled = 2 if first.start is not None else 1
    by_root = not math.isclose(lora.scale, lora.alpha / lora.r)
    rank = lora.r * doubled
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=rank,
        # PEFT divides by r, or its root: a float is as good.
        lora_alpha=lora.scale * (math.sqrt(rank) if by_root else rank),  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=shortest_names(list(lora.pairs), list(layers)),
        fan_in_fan_out=_transposed(model, lora.pairs),
        use_rslora=by_root,
        use_dora=first.magnitude is not None,
    )
    return config, tensors


def _ia3(ia3: Ia3Weights, model: PreTrainedModel) -> Saved:
    chosen = [*ia3.outputs, *ia3.inputs]
    names = shortest_names(chosen, list(linear_layers(model)))
    inner = [name for name in names if any(path.endswith(name) for path in ia3.inputs)]
    if any(path.endswith(name) for name in inner for path in ia3.outputs):
        names, inner = chosen, list(ia3.inputs)
    config = IA3Config(
        task_type=TaskType.CAUSAL_LM,
        target_modules=names,
        feedforward_modules=inner,
        fan_in_fan_out=_transposed(model, chosen),
    )
    tensors = {f"base_model.model.{path}.ia3_l": factor[:, None] for path, factor in ia3.outputs.items()}
    tensors |= {f"base_model.model.{path}.ia3_l": factor[None] for path, factor in ia3.inputs.items()}
    return config, tensors


def _transposed(model: PreTrainedModel, paths: Mapping[str, object] | list[str]) -> bool:
    layers = linear_layers(model)
    return any(isinstance(layers[path], Conv1D) for path in paths)


def _prompt(prompt: SoftPrompt, model: PreTrainedModel) -> Saved:
    text = model.config.get_text_config()
    values = prompt.values()
    common = {
        "task_type": TaskType.CAUSAL_LM,
        "num_virtual_tokens": len(prompt),
        "token_dim": values.shape[1],
        "num_transformer_submodules": 1,
        "num_attention_heads": text.num_attention_heads,
        "num_layers": text.num_hidden_layers,
    }
    if isinstance(prompt, EncodedPrompt):
        return PromptEncoderConfig(encoder_hidden_size=prompt.hidden_size, **common), {"prompt_embeddings": values}
    return PromptTuningConfig(**common), {"prompt_embeddings": values}


def _prefix(prefix: PrefixWeights, model: PreTrainedModel) -> Saved:
    tokens, layers, _, heads, head_dim = prefix.states.shape
    config = PrefixTuningConfig(
        task_type=TaskType.CAUSAL_LM,
        num_virtual_tokens=tokens,
        token_dim=heads * head_dim,
        num_transformer_submodules=1,
        num_attention_heads=heads,
        num_layers=layers,
    )
    return config, {"prompt_embeddings": prefix.states.reshape(tokens, -1)}
