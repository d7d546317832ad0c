"""Why two runs may not stand in one ranking, in words: a comparability key alone is a hash."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .results import Record
from .settings import flat, plain

_DOESN_T_MATTER = ("dataset.path", "dataset.eval_path", "dataset.limit", "dataset.eval_limit", "dataset.min_examples")
_PACKAGES = ("rouge-score", "sacrebleu")
_MOST = 4


def base_label(record: Record) -> str:
    """Return the model's name whatever its quantization, with `(tiny)` where it is.

    A record doesn't name its tokenizer, so what has another label counts as having another one.
    """
    name = str(record.get("config.model.name", "?"))
    return f"{name} (tiny)" if record.get("config.model.scale") == "tiny" else name


def differences(first: Record, second: Record) -> list[str]:
    """Return what keeps two runs apart, as clauses such as `other decoding (generation.method nucleus, not greedy)`.

    The second's value comes first in each. Empty for runs with equal keys.
    """
    if first.get("comparability_key") == second.get("comparability_key"):
        return []
    found = [clause for look in _LOOKS if (clause := look(first, second))]
    return found or ["other evaluation items (which of the examples were evaluated; their records agree otherwise)"]


def _config(name: str, group: str) -> Callable[[Record, Record], str | None]:
    def look(first: Record, second: Record) -> str | None:
        changed = _changed(_group(first, group), _group(second, group))
        return f"{name} ({changed})" if changed else None

    return look


def _source(first: Record, second: Record) -> str | None:
    path = "provenance.data_fingerprint"
    if first.get(path) == second.get(path):
        return None
    return f"other source data (fingerprint {str(second.get(path))[:8]}, not {str(first.get(path))[:8]})"


def _count(first: Record, second: Record) -> str | None:
    path = "data.eval_examples"
    if first.get(path) == second.get(path):
        return None
    return f"other evaluation items ({second.get(path)}, not {first.get(path)})"


def _versions(first: Record, second: Record) -> str | None:
    path = "provenance.packages"
    packages = [{key: (record.get(path) or {}).get(key) for key in _PACKAGES} for record in (first, second)]
    changed = _changed(*packages)
    return f"other metric versions ({changed})" if changed else None


_LOOKS = (
    _source,
    _config("other evaluation data", "dataset"),
    _count,
    _config("other decoding", "generation"),
    _config("other metrics", "metrics"),
    _versions,
)


def _group(record: Record, group: str) -> dict[str, Any]:
    values = record.get(f"config.{group}")
    found = flat(values, f"{group}.") if isinstance(values, Mapping) else {}
    return {key: value for key, value in found.items() if key not in _DOESN_T_MATTER}


def _changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    keys = [key for key in dict.fromkeys([*first, *second]) if _json(first.get(key)) != _json(second.get(key))]
    told = [f"{key} {plain(second.get(key))}, not {plain(first.get(key))}" for key in keys[:_MOST]]
    more = len(keys) - _MOST
    return "; ".join(told + ([f"{more} more"] if more > 0 else []))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
