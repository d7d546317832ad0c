"""What results are called in tables: their model, data and decoding, as far as their records say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import takewhile
from pathlib import PurePath
from typing import Any

from .results import RunResult

NO_MODEL = "no model"


def model_label(result: RunResult) -> str:
    """Return the model's name, with its quantization, `(tiny)` and `(random)` where they apply; "no model" without."""
    if not has_model(result):
        return NO_MODEL
    quantization = result.get("config.quantization.method", "none")
    name = str(result.get("config.model.name", "?"))
    parts = [name] if quantization in ("none", None) else [name, str(quantization)]
    parts += ["(tiny)"] if result.get("config.model.scale") == "tiny" else []
    return " ".join([*parts, "(random)"] if result.has_random_weights else parts)


def base_label(result: RunResult) -> str:
    """Return the model's name whatever its quantization, with `(tiny)` where it is.

    A record doesn't name its tokenizer, so what has another label counts as having another one.
    """
    name = str(result.get("config.model.name", "?"))
    return f"{name} (tiny)" if result.get("config.model.scale") == "tiny" else name


def has_model(result: RunResult) -> bool:
    """Whether a result's texts are a model's, and not copied from the training examples."""
    return result.get("predictor.has_model", True) is not False


def dataset_label(result: RunResult) -> str:
    """Return the data source with the name of its file, and the persona; "(validation)" if that part was evaluated."""
    source, persona = result.get("config.dataset.source", "?"), result.get("config.dataset.persona")
    path = result.get("config.dataset.path")
    if isinstance(path, str) and (name := PurePath(path).name):
        source = f"{source} {name}"
    names = " + ".join(map(str, persona)) if isinstance(persona, list) else persona
    label = f"{source}, {names}" if names else str(source)
    return f"{label} (validation)" if result.get("config.dataset.evaluate_on") == "validation" else label


def method_of(result: RunResult) -> str:
    return str(result.get("config.peft.method", "?"))


def method_label(result: RunResult) -> str:
    """Return the method with its settings, such as `LoRA r=8 α=16`."""
    return str(result.get("predictor.label") or method_of(result))


def method_name(result: RunResult) -> str:
    """Return the method without its settings: `prompt tuning` of `prompt tuning 16 tokens`."""
    words = method_label(result).replace(",", "").split()
    name = takewhile(lambda word: "=" not in word and not word[:1].isdigit(), words)
    return " ".join(name) or method_of(result)


def decoding_label(result: RunResult, separator: str = " ") -> str | None:
    """Return how texts were generated: `nucleus temperature=0.8 top_p=0.95`; None where the record doesn't say."""
    generation = result.get("config.generation")
    if not isinstance(generation, Mapping):
        return None
    given = {key: value for key, value in generation.items() if key != "method" and value not in (None, [])}
    settings = [f"{key}={plain(value)}" for key, value in given.items()]
    return separator.join([str(generation.get("method", "?")), *settings])


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested config by dotted keys."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def plain(value: Any) -> str:
    """Return a value as an override has it: 16.0 as 16, a list with brackets, null for None."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(plain, value))}]"
    return json.dumps(value, sort_keys=True, default=str) if isinstance(value, Mapping) else str(value)


def canonical(value: Any) -> str:
    """Return a value's JSON, equal for equal values."""
    return json.dumps(value, sort_keys=True, default=str)
