"""Decide when two runs are the same, when two rows are seeds of one setting, and when two evaluations compare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

RUN_SCHEMA = 2
"""version of run.json and of what a run id covers; a new version makes new runs"""
ID_LENGTH = 10
"""hex digits of a run id, a prediction id or an evaluation id"""

OF_WEIGHTS = (
    "hub_id",
    "revision",
    "licence",
    "gated",
    "instruct",
    "counterpart",
    "linear_layers",
    "architecture",
    "embedded",
    "weights",
)
"""keys of a model card that can't change a run's result, or that the weights' identity covers"""
OF_READING = ("loss_on", "template", "too_long", "stride")
"""keys of dataset that control how examples become tokens, whatever source they are from"""
NOT_TRAINING = ("micro_batch_size", "precision")
"""keys of train that can't change what is trained, or that are hashed separately"""


class PredictorFacts(Protocol):
    """The facts about a predictor that identity needs; `not_identity` are keys of `peft` that can't change a result."""

    trains: bool
    has_model: bool
    reads_training_data: bool
    uses_seed: bool
    not_identity: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """A run's two hashes: `run_id` names what was trained; `setting_key` is the same for all its seeds."""

    run_id: str
    setting_key: str


def digest(value: object) -> str:
    """Return the SHA-256 (hex) of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def run_identity(
    resolved: Mapping[str, Any], facts: PredictorFacts, training_data: str, weights: str | None, files: str | None
) -> RunIdentity:
    """Return the identity of a run: model, quantization, method, training data and settings, seed.

    `training_data` is a hash of the training examples themselves, whatever file they came from; `weights` identifies
    the base model's weights; `files` is a hash of files that the predictor reads. How the run is evaluated doesn't
    count.
    """
    setting = essence(resolved, facts)
    seed = setting.pop("seed", None)
    parts = [RUN_SCHEMA, setting, training_data if facts.reads_training_data else None, weights, files]
    return RunIdentity(digest([*parts, {"seed": seed}])[:ID_LENGTH], digest(parts)[:ID_LENGTH])


def essence(resolved: Mapping[str, Any], facts: PredictorFacts) -> dict[str, Any]:
    """Return the part of a resolved config that can change a run's result."""
    essential: dict[str, Any] = {"peft": _without(resolved["peft"], facts.not_identity)}
    if facts.has_model:
        essential["model"] = _without(resolved["model"], OF_WEIGHTS)
        essential["quantization"] = dict(resolved["quantization"])
        essential["precision"] = resolved["train"]["precision"]
    if facts.trains:
        essential["train"] = _without(resolved["train"], NOT_TRAINING)
        essential["reading"] = {key: resolved["dataset"].get(key) for key in OF_READING}
    if facts.uses_seed:
        essential["seed"] = resolved["seed"]
    return essential


def base_identity(resolved: Mapping[str, Any], weights: str | None) -> str:
    """Return the hash of a base model as runs share it: weights, quantization and precision."""
    parts = {
        "model": _without(resolved["model"], OF_WEIGHTS),
        "quantization": dict(resolved["quantization"]),
        "precision": resolved["train"]["precision"],
    }
    return digest(["base", RUN_SCHEMA, parts, weights])[:ID_LENGTH]


def prediction_id(
    predictor: str,
    request: Mapping[str, Any],
    prompts: Sequence[object],
    decoding: Mapping[str, Any] | None,
    seed: int | None,
) -> str:
    """Return the id of a predictor's answers to a request.

    `predictor` is a run id, or the identity of a base model. `prompts` identifies the prompts: a hash of the examples,
    and what decides which of them fit. `decoding` applies to texts, `seed` to sampling; each is None if it can't
    matter.
    """
    return digest(["prediction", RUN_SCHEMA, predictor, dict(request), list(prompts), decoding, seed])[:ID_LENGTH]


def evaluation_id(predictions: Iterable[str], metrics: Mapping[str, str]) -> str:
    """Return the id of an evaluation, from the predictions that it scores and the metrics' versions by name."""
    return digest(["evaluation", RUN_SCHEMA, sorted(predictions), dict(metrics)])[:ID_LENGTH]


def comparability_key(items: str, decoding: Mapping[str, Any] | None) -> str:
    """Return the hash of what two rows must share to be in one table.

    `items` is a hash of the examples that were asked with what their prompts show, whether or not all of them fitted
    a model's template into train.max_length: tables compare rows on the items that they have in common. `decoding`
    applies to texts, and is None if there are none. A model's own chat template belongs to the model, and a metric's
    version to its description.
    """
    return digest(["comparable", items, decoding])[:16]


def _without(tree: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    left_out = set(keys)
    return {key: value for key, value in tree.items() if key not in left_out}
