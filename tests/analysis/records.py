"""Records of schema 2 as a sweep leaves them behind, made by hand: run.json, and an evaluation beside it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

Record = dict[str, Any]

_NLL = ["completion_nll", "completion_tokens"]


def described(label: str, **more: Any) -> Record:
    """Return a metric's description, of a fraction of which more is better unless `more` says otherwise."""
    usual: Record = {
        "label": label,
        "higher_is_better": True,
        "range": [0.0, 1.0],
        "version": "1",
        "aggregate": {},
        "per_token": False,
        "log_scale": False,
        "format": ".3f",
        "family": "",
        "explanation": "",
        "headline": 0,
        "character": 0,
        "matrix": None,
    }
    return usual | more


def _likelihood(label: str, explanation: str, **more: Any) -> Record:
    usual: Record = {"higher_is_better": False, "range": [0.0, None], "family": "likelihood"}
    return described(label, **usual | {"explanation": explanation} | more)


def _ratio(denominator: str, scale: float = 1.0, exp: bool = False) -> Record:
    return {"form": "ratio", "numerator": _NLL, "denominator": [denominator], "scale": scale, "exp": exp}


def _rouge(name: str, label: str, headline: int) -> Record:
    return described(
        label,
        aggregate={"form": "mean", "of": name},
        explanation=f"{label} is an F-measure, the mean over items",
        family="overlap",
        headline=headline,
        character=80 if name == "rougeL" else 0,
    )


DESCRIPTIONS: dict[str, Record] = {
    "completion_ppl": _likelihood(
        "PPL", "PPL is the perplexity of a completion token", range=[1.0, None], format=".2f", per_token=True,
        log_scale=True, headline=50, aggregate=_ratio("completion_tokens", exp=True),
    ),
    "completion_nll": _likelihood(
        "NLL", "NLL is the negative log-likelihood of a completion token, in nats", per_token=True,
        aggregate=_ratio("completion_tokens"),
    ),
    "bits_per_byte": _likelihood(
        "bits/byte",
        "bits/byte is the negative log-likelihood of a completion in bits for each UTF-8 byte of its text, comparable "
        "between tokenizers",
        headline=40, character=10, aggregate=_ratio("completion_bytes", scale=1 / math.log(2)),
    ),
    "rouge1": _rouge("rouge1", "ROUGE-1", 0),
    "rouge2": _rouge("rouge2", "ROUGE-2", 0),
    "rougeL": _rouge("rougeL", "ROUGE-L", 30),
    "rougeLsum": _rouge("rougeLsum", "ROUGE-Lsum", 0),
    "bleu": described(
        "BLEU", aggregate={"form": "ngram_precision", "of": "bleu_counts"}, family="overlap", headline=20,
        explanation="BLEU is that of all items together, as a fraction",
    ),
}  # fmt: skip
"""as the project's own metrics describe themselves"""

_REFERENCES = {
    "none": ("untuned", "the base model as it is"),
    "few_shot": ("few-shot, {shots} shots", "the base model with solved training examples before each prompt"),
    "nearest_reply": ("nearest reply", "the reply of the training example whose prompt is most like the one asked"),
}
_LABELS = {
    "lora": "LoRA r={r} α={alpha:g}",
    "dora": "DoRA r={r} α={alpha:g}",
    "prompt_tuning": "prompt tuning {num_virtual_tokens} tokens",
}


def predictor(peft: Any) -> Record:
    """Return what a record says of a method."""
    method = peft.get("method") if isinstance(peft, Mapping) else None
    label, description = _REFERENCES.get(str(method), (_LABELS.get(str(method), str(method)), ""))
    is_reference = method in _REFERENCES
    return {
        "label": label.format(**peft) if isinstance(peft, Mapping) else "?",
        "trains": not is_reference,
        "has_model": method != "nearest_reply",
        "is_reference": is_reference,
        "description": description,
    }


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:10]


def setting_key(config: Mapping[str, Any], data: object = None) -> str:
    """Return what the seeds of a config have in common; `data` is a hash of the training data."""
    peft = {key: value for key, value in config["peft"].items() if key != "learning_rate"}
    facts = predictor(config["peft"])
    train = dict(config["train"] or {})
    train["learning_rate"] = train.get("learning_rate") or config["peft"].get("learning_rate")
    parts: list[Any] = [peft]
    parts += [config["model"], config["quantization"], train.get("precision")] if facts["has_model"] else []
    parts += [train, config["dataset"]] if facts["trains"] else []
    return digest([*parts, None if peft.get("method") == "none" else data])


def uses_seed(peft: Mapping[str, Any]) -> bool:
    return peft.get("method") not in ("none", "nearest_reply")


def recorded_config(config: Mapping[str, Any]) -> Record:
    """Return a run's config as its record holds it: without how it is evaluated, null where nothing counts."""
    facts, peft = predictor(config["peft"]), config["peft"]
    kept = {key: value for key, value in config.items() if key not in ("generation", "metrics")}
    if not facts["trains"]:
        train = config["train"] or {}
        kept["train"] = {"precision": train.get("precision")} if facts["has_model"] else None
    if not facts["has_model"]:
        kept |= {"model": None, "quantization": None}
    if peft.get("method") == "none":
        kept["dataset"] = None
    if not uses_seed(peft):
        kept["seed"] = None
    return kept


def run_record(run_id: str, config: Mapping[str, Any], data: object = "d0", **top: Any) -> Record:
    """Return a completed run."""
    seed = config["seed"] if uses_seed(config["peft"]) else None
    return {
        "schema_version": 2,
        "run_id": run_id,
        "setting_key": setting_key(config, data),
        "name": f"run-{run_id}",
        "status": "completed",
        "config": recorded_config(config),
        "predictor": predictor(config["peft"]),
        "training": {"trainable_parameters": 1000},
        "data": {"train_examples": 500, "dropped": {}},
        "resources": {"wall_seconds": 5.0, "cpu_seconds": 9.0, "group_size": 1, "device": "cpu"},
        "provenance": {"data_fingerprint": data, "template_fingerprint": "t0", "model_fingerprint": "m0", "seed": seed},
        "failure": None,
    } | top


def evaluation_record(
    run: Mapping[str, Any],
    config: Mapping[str, Any],
    metrics: Mapping[str, float | None],
    key: str,
    evaluation_id: str,
    items: int = 48,
    descriptions: Mapping[str, Any] | None = None,
    texts: bool = True,
    **top: Any,
) -> Record:
    """Return the evaluation of a run that has these metrics."""
    known = {**DESCRIPTIONS, **(descriptions or {})}
    generation = config.get("generation", {})
    samples = isinstance(generation, Mapping) and generation.get("method", "greedy") != "greedy"
    seed = config["seed"] if uses_seed(config["peft"]) or samples else None
    requests = {"n" + evaluation_id[1:]: {"kind": "nll", "loss_on": "completion", "prompt_set": "held_out"}}
    requests |= {"t" + evaluation_id[1:]: {"kind": "text", "prompt_set": "held_out"}} if texts else {}
    groups = ("dataset", "generation", "metrics")
    return {
        "schema_version": 2,
        "evaluation_id": evaluation_id,
        "run_id": run["run_id"],
        "setting_key": run["setting_key"],
        "comparability_key": key,
        "config": {group: config[group] for group in groups if group in config} | {"seed": seed, "max_length": 512},
        "metrics": dict(metrics),
        "descriptions": {name: known[name] for name in metrics if name in known},
        "data": {"eval_examples": items, "dropped": {}},
        "predictions": requests,
        "resources": {"wall_seconds": 2.0, "cpu_seconds": 3.0, "device": "cpu"},
        "provenance": {"created": "2026-11-20T10:00:00+00:00", "data_fingerprint": "d0", "seed": seed},
        "failure": None,
    } | top


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)
