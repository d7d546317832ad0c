"""The terms that may not change during a study, since its trials could no longer be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from persona_sweeps.planning.cells import Cell
from persona_sweeps.records.identity import essence
from persona_sweeps.running.run_writer import OF_EVALUATION
from persona_sweeps.study.settings import StudySettings


def terms(settings: StudySettings, varied: Mapping[str, str], example: Cell) -> Mapping[str, Any]:
    """Return the terms of a study by name; `varied` is its space in words, `example` one of its runs."""
    return {
        "metric": settings.metric,
        "direction": settings.direction,
        "sampler": settings.sampler,
        "pruner": {key: getattr(settings, key) for key in ("pruner", "pruner_factor", "pruner_rungs")},
        "space": varied,
        "config": _shared_config(set(varied), example),
    }


def _shared_config(varied: set[str], example: Cell) -> Mapping[str, Any]:
    """Return the config that all runs of the study share, by dotted key."""
    varied |= {"peft.alpha"} if "peft.alpha_ratio" in varied else set()
    resolved, peft = example.resolved, example.config.peft
    dataset = {key: value for key, value in resolved["dataset"].items() if key not in ("path", "eval_path")}
    shared = essence(resolved, peft) | {"dataset": dataset} | {key: resolved[key] for key in OF_EVALUATION}
    return {key: value for key, value in _flat(shared).items() if key not in varied}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
