"""LoRA, rsLoRA and DoRA in PEFT's format."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from persona_sweeps.methods.formats.files import PeftFiles
from persona_sweeps.methods.formats.format import MERGE, AdapterFormat

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from persona_sweeps.methods.export import Part
    from persona_sweeps.methods.lora_layers import LoraWeights
    from persona_sweeps.methods.weights import Adapter

TENSOR = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_(A|B|magnitude_vector)(?:\.weight)?")
CHANGING_INITS = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""values of init_lora_weights, or their first letters, that subtract the initial product from the base's weights"""


class LoraFormat(AdapterFormat):
    relevant = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora")
    harmless = (
        "corda_config", "ensure_weight_tying", "eva_config", "fan_in_fan_out", "init_lora_weights", "layers_pattern",
        "layers_to_transform", "loftq_config", "lora_dropout", "lora_ga_config", "megatron_core", "qalora_group_size",
        "runtime_config", "velora_config",
    )  # fmt: skip
    refused = {
        "alora_invocation_tokens": "pairs that wait for a word",
        "arrow_config": "a router between adapters",
        "kasa_config": "pairs with singular values of their own",
        "layer_replication": "layers that are repeated",
        "lora_bias": "biases beside the pairs",
        "modules_to_save": "layers that were trained whole",
        "target_parameters": "pairs beside parameters that belong to no linear layer",
        "trainable_token_indices": "token embeddings that were trained",
        "use_bdlora": "pairs of blocks",
        "use_qalora": "pairs on pooled inputs",
    }

    def title(self, files: PeftFiles) -> str:
        name = "DoRA" if files.config.get("use_dora") else "rsLoRA" if files.config.get("use_rslora") else "LoRA"
        ranks = sorted({shape[0] for (_, part), shape in _index(files).items() if part == "A"})
        if not ranks:
            return name
        return f"{name} r={ranks[0]}" if len(ranks) == 1 else f"{name} r={ranks[0]}–{ranks[-1]}"

    def config_refusals(self, files: PeftFiles) -> Iterator[str]:
        config = dict(files.config)
        if (bias := config.pop("bias", "none")) != "none":
            yield f"{files.folder} has biases that were trained (bias={bias}), which can't be applied here: {MERGE}."
        init = str(config.get("init_lora_weights")).lower()
        if init.startswith(CHANGING_INITS):
            yield (
                f"{files.folder} was trained on a base whose weights its init changed (init_lora_weights={init}): save "
                "it with save_pretrained(…, path_initial_model_for_weight_conversion=…), which converts it to plain "
                "LoRA."
            )
        yield from super().config_refusals(PeftFiles(files.folder, config, files.shapes))

    def tensor_refusals(self, files: PeftFiles) -> Iterator[str]:
        for name in files.shapes:
            if not TENSOR.fullmatch(name):
                yield (
                    f"{files.folder} holds {name}, which is no pair beside a linear layer and can't be applied here: "
                    f"{MERGE}."
                )
                return
        index = _index(files)
        if not index:
            yield f"{files.folder} holds no pairs at all."
        for path in _paths(index):
            a, b = index.get((path, "A"), ()), index.get((path, "B"), ())
            if len(a) != 2 or len(b) != 2 or a[0] != b[1]:
                yield f"{files.folder}: the pair of {path} has shapes {list(a)} and {list(b)}, which make no product."

    def misfits(self, files: PeftFiles, model: PreTrainedModel) -> Iterator[str]:
        from persona_sweeps.methods.formats.fit import misfit
        from persona_sweeps.models.layers import linear_layers

        index, layers = _index(files), linear_layers(model)
        for path in _paths(index):
            yield from misfit(files.folder, layers, path, index[path, "A"][1], index[path, "B"][0])

    def read(self, files: PeftFiles, model: PreTrainedModel) -> Adapter:
        from torch import nn

        from persona_sweeps.methods.formats.read import tensors_of
        from persona_sweeps.methods.lora_layers import LoraPair, LoraWeights
        from persona_sweeps.methods.weights import Adapter
        from persona_sweeps.models.layers import linear_layers

        config, layers = files.config, linear_layers(model)
        parts = {key: tensor for name, tensor in tensors_of(files).items() if (key := _key(name)) is not None}
        pairs = {}
        for path in _paths(parts):
            device = next(layers[path].parameters()).device
            a, b = parts[path, "A"].to(device), parts[path, "B"].T.contiguous().to(device)
            lengths = parts.get((path, "magnitude_vector"))
            magnitude = nn.Parameter(lengths.flatten().to(device)) if lengths is not None else None
            scale = _alpha(config, path) / (math.sqrt(len(a)) if config.get("use_rslora") else len(a))
            pairs[path] = LoraPair(nn.Parameter(a), nn.Parameter(b), scale, magnitude=magnitude)
        alpha, by_root = float(config["lora_alpha"]), bool(config.get("use_rslora"))
        return Adapter(lora=LoraWeights(pairs, alpha, by_root, float(config.get("lora_dropout") or 0.0)))


def _key(name: str) -> tuple[str, str] | None:
    match = TENSOR.fullmatch(name)
    return (match[1], match[2]) if match else None


def _index(files: PeftFiles) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return the shapes by path and part: A, B or magnitude_vector."""
    return {key: shape for name, shape in files.shapes.items() if (key := _key(name)) is not None}


def _paths(keys: Iterable[tuple[str, str]]) -> list[str]:
    """Return the paths of the layers that have pairs."""
    return list(dict.fromkeys(path for path, _ in keys))


def _alpha(config: Mapping[str, Any], path: str) -> float:
    """Return a layer's alpha, that of the first pattern that matches the end of its path, as in PEFT."""
    patterns = config.get("alpha_pattern") or {}
    pattern = next((key for key in patterns if re.match(rf"(.*\.)?({key})$", path)), None)
    return float(patterns[pattern] if pattern is not None else config["lora_alpha"])


def separate_start(lora: LoraWeights, scale: float) -> None:
    """Separate exported pairs [A, A₀] and [B, −B₀] into the pairs and their initial values, in place."""
    from torch import nn

    for pair in lora.pairs.values():
        r = len(pair.a) // 2
        a, b = pair.a.detach(), pair.b.detach()
        pair.start = (a[r:].clone(), -b[r:])
        pair.a, pair.b, pair.scale = nn.Parameter(a[:r].clone()), nn.Parameter(b[:r].clone()), scale


def write_lora(lora: LoraWeights, model: PreTrainedModel) -> Part:
    """Return the config and the tensors of LoRA, rsLoRA or DoRA.

    Pairs that started at A₀, B₀ are saved with twice the rank, as [A, A₀] and [B, −B₀], so that the base is unchanged.
    """
    import torch
    from peft import LoraConfig, TaskType

    from persona_sweeps.models.layers import linear_layers, shortest_names, transposed

    tensors = {}
    for path, pair in lora.pairs.items():
        a, b = pair.a.detach(), pair.b.detach()
        if pair.start is not None:
            a, b = torch.cat((a, pair.start[0])), torch.cat((b, -pair.start[1]))
        tensors[f"base_model.model.{path}.lora_A.weight"] = a
        tensors[f"base_model.model.{path}.lora_B.weight"] = b.T
        if pair.magnitude is not None:
            tensors[f"base_model.model.{path}.lora_magnitude_vector"] = pair.magnitude
    first = next(iter(lora.pairs.values()))
    rank_factor = 1 if first.start is None else 2
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=len(first.a) * rank_factor,
        # PEFT divides by r, or its root, so a float works too.
        lora_alpha=lora.alpha * (math.sqrt(rank_factor) if lora.by_root else rank_factor),  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=shortest_names(list(lora.pairs), list(linear_layers(model))),
        fan_in_fan_out=transposed(model, lora.pairs),
        use_rslora=lora.by_root,
        use_dora=first.magnitude is not None,
    )
    return config, tensors
