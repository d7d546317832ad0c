"""What makes two runs the same run, and two rows comparable."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from persona_sweeps.config.kinds import kind_of
from persona_sweeps.records.run import SCHEMA_VERSION

RUN_ID_LENGTH = 10

IN_NAMES = {"r": "r", "num_virtual_tokens": "v", "shots": "k"}
"""keys of peft whose numbers stand in a run's name, and the letters before them"""

CANNOT_MATTER = (
    "sweep", "tracker", "device", "output_dir", "show_examples", "plan", "status", "group_size", "checkpoint_seconds",
    "model.licence", "model.gated", "model.instruct", "model.counterpart", "model.linear_layers", "model.architecture",
    "model.embedded", "peft.learning_rate", "train.micro_batch_size",
    "dataset.path", "dataset.eval_path",
)  # fmt: skip
"""Keys that can't change a run's result; the files behind paths and packages count through their fingerprints."""

ONLY_TRAINING = (
    "train.learning_rate", "train.epochs", "train.max_steps", "train.batch_size", "train.warmup_ratio",
    "train.scheduler", "train.weight_decay", "train.max_grad_norm", "train.eval_every", "dataset.limit",
)  # fmt: skip
"""Keys that can't change the result of an untuned base."""

LEFT_OUT: dict[str, tuple[str, ...]] = {
    "none": ONLY_TRAINING,
    "few_shot": tuple(key for key in ONLY_TRAINING if key != "dataset.limit"),
    "nearest_reply": ("model", "quantization", "train", "seed"),
}
"""Keys that can't change the result of a method that trains nothing.

Shots are drawn from the training examples, so dataset.limit counts there. Where no model is loaded, its tokenizer still
says which examples are evaluated: these count in place of the weights (data/evaluated.py). Decoding changes no reply
that is looked up, but it says in which section of a table a run stands, so it counts.
"""


def digest(value: object) -> str:
    """Return the SHA-256 (hex) of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def essence(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved config that can change its run's result."""
    kept = copy.deepcopy(dict(resolved))
    _drop(kept, CANNOT_MATTER)
    _drop(kept, LEFT_OUT.get(kept["peft"]["method"], ()))
    if not needs_generation(kept):
        _drop(kept, ("generation",))
    _drop_unread(kept["dataset"])
    return kept


def needs_generation(resolved: Mapping[str, Any]) -> bool:
    """Whether a metric that was asked for reads generated texts."""
    return resolved["metrics"].get("overlap") is not None


def run_id(resolved: Mapping[str, Any], data_fingerprint: str, weights: str) -> str:
    """Return the 10 hex digits that name a run.

    `weights` says where the base model's weights come from; of a run without a model, what is evaluated.
    """
    parts = [SCHEMA_VERSION, essence(resolved), data_fingerprint, weights]
    return digest(parts)[:RUN_ID_LENGTH]


def comparability_key(
    resolved: Mapping[str, Any], data_fingerprint: str, evaluated: Iterable[str], versions: Mapping[str, str]
) -> str:
    """Return the hash of what two rows must share to stand in one table.

    That is the evaluation data (source bytes, the examples' ids, what the prompts show), decoding, and the metrics
    with their versions. A model's own chat template is part of the model, not of the data: it is left out.
    """
    dataset = copy.deepcopy(resolved["dataset"])
    _drop(dataset, ("path", "eval_path", "limit", "eval_limit", "min_examples"))
    _drop_unread(dataset)
    decoding = resolved["generation"] if needs_generation(resolved) else None
    parts = [data_fingerprint, dataset, sorted(evaluated), decoding, resolved["metrics"], dict(versions)]
    return digest(parts)[:16]


def run_name(resolved: Mapping[str, Any]) -> str:
    """Return the readable part of a run's folder name, such as `gpt2-tiny-lora-r8-lr0.001-hamlet-s0`."""
    peft, dataset = resolved["peft"], resolved["dataset"]
    kind = kind_of(peft["method"])
    parts = _model_name(resolved) if kind.has_model else []
    parts.append(peft["method"])
    parts += [f"{short}{peft[key]:g}" for key, short in IN_NAMES.items() if key in peft]
    if kind.trains:
        parts.append(f"lr{resolved['train']['learning_rate']:g}")
    parts.append(str(dataset.get("persona") or dataset["source"]))
    if kind.has_model:
        parts.append(f"s{resolved['seed']}")
    return re.sub(r"[^a-z0-9._]+", "-", "-".join(parts).lower()).strip("-")


def _model_name(resolved: Mapping[str, Any]) -> list[str]:
    model, quantization = resolved["model"], resolved["quantization"]["method"]
    tiny = ["tiny"] if model["scale"] == "tiny" else []
    return [model["name"], *tiny, *([quantization] if quantization != "none" else [])]


def _drop_unread(dataset: dict[str, Any]) -> None:
    """Drop what only a validation part would be made by, where none is."""
    if dataset.get("evaluate_on") == "test":
        _drop(dataset, ("evaluate_on", "validation_fraction"))


def _drop(tree: dict[str, Any], keys: Iterable[str]) -> None:
    for key in keys:
        *parents, last = key.split(".")
        node: Any = tree
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(last, None)
