"""The readable part of a run's folder name; the run id that stands behind it is what tells runs apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from anyascii import anyascii

from persona_sweeps.records.identity import PredictorFacts

LONGEST_PART = 40
"""characters of a name or a file in a run's name"""
LONGEST = 160
"""characters of a run's name; a file system takes 255 bytes, of which drafts need some"""


def run_name(resolved: Mapping[str, Any], facts: PredictorFacts, predictor_parts: Sequence[str]) -> str:
    """Return a name such as `gpt2-tiny-lora-r8-lr0.001-hamlet-s0`, in letters that every file system has."""
    dataset = resolved["dataset"]
    parts = [*(_model_name(resolved) if facts.has_model else []), *predictor_parts]
    if facts.trains:
        parts.append(f"lr{resolved['train']['learning_rate']:g}".replace("+", ""))  # 1e+06 would read as 1e-06
    if facts.reads_training_data:
        parts.append(_data_name(dataset))
    seed = [f"s{resolved['seed']}"] if facts.uses_seed else []
    return "-".join([_plain("-".join(parts), LONGEST), *seed])


def _data_name(dataset: Mapping[str, Any]) -> str:
    """Return the characters' names, their number if there are many, the file's name, or the source's."""
    persona, path = dataset.get("persona"), dataset.get("path")
    if isinstance(persona, list):
        return "-".join(_plain(str(name)) for name in persona) if len(persona) <= 3 else f"{len(persona)}-personas"
    file = PurePath(path).stem if isinstance(path, str) else ""
    return _plain(str(persona or "")) or _plain(file) or str(dataset["source"])


def _model_name(resolved: Mapping[str, Any]) -> list[str]:
    model, quantization = resolved["model"], resolved["quantization"]["method"]
    made = ["tiny"] if model["scale"] == "tiny" else ["random"] if model["weights"] == "random" else []
    return [_plain(model["name"]) or "model", *made, *([quantization] if quantization != "none" else [])]


def _plain(text: str, longest: int = LONGEST_PART) -> str:
    """Return a text in lower-case Latin letters, digits, dots, underscores and hyphens."""
    return re.sub(r"[^a-z0-9._]+", "-", anyascii(text).lower())[:longest].strip("-")
