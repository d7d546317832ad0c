"""A run that somebody else made, and how it is written as records of ours."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from persona_sweeps.records.files import finite, write_json, write_json_lines

from ..read.files import SCHEMA_VERSION


@dataclass(frozen=True)
class ForeignMetric:
    """A value; `higher_is_better` is None where nobody says. `per_item` is the column of the items that it is the mean
    of, if there are any."""

    value: float
    higher_is_better: bool | None = None
    label: str = ""
    low: float | None = None
    high: float | None = None
    per_item: str | None = None

    def described(self, name: str, place: int) -> dict[str, Any]:
        """Return the description of our records; the first metrics are the headlines."""
        return {
            "label": self.label or name,
            "higher_is_better": self.higher_is_better,
            "range": [self.low, self.high],
            "version": "imported",
            "aggregate": {"form": "mean", "of": self.per_item} if self.per_item else {},
            "per_token": False,
            "log_scale": False,
            "format": ".4g",
            "family": "",
            "explanation": "",
            "headline": max(1, 100 - place) if self.higher_is_better is not None else 0,
            "character": 0,
            "matrix": None,
        }


@dataclass(frozen=True)
class ForeignEvaluation:
    """Values on one set of items. What two evaluations must share to be compared is `comparable`."""

    comparable: Mapping[str, Any]
    metrics: Mapping[str, ForeignMetric]
    items: int | None = None
    samples: Sequence[Mapping[str, Any]] = ()
    """with `id` and `cluster`, and the columns of metrics"""


@dataclass(frozen=True)
class ForeignRun:
    """A run; `label` is what a table calls its method with its settings, `failure` why it has no values."""

    source: Path
    model: str
    method: str
    label: str
    dataset: str
    evaluations: Sequence[ForeignEvaluation] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    """more of it, by our groups: peft, train"""
    seed: int | None = None
    trains: bool = True
    training: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    failure: str | None = None
    created: str = ""

    @property
    def setting_key(self) -> str:
        """What its seeds have in common."""
        return _digest([self.model, self.method, self.label, self.dataset, self.config])[:10]

    @property
    def run_id(self) -> str:
        return _digest(["imported", self.setting_key, self.seed, self.created])[:10]


def write_run(run: ForeignRun, output_dir: Path, source_format: str) -> Path:
    """Write a run's records under `output_dir`/runs; the same run again replaces them. Returns its folder."""
    name = re.sub(r"[^a-z0-9._]+", "-", f"{run.model.rpartition('/')[2]}-{run.label}".lower()).strip("-")[:80]
    folder = output_dir / "runs" / f"imported-{name}-{run.run_id}"
    record = _run_record(run, folder.name, source_format)
    for evaluation in run.evaluations:
        _write_evaluation(run, record, evaluation, folder)
    write_json(folder / "run.json", finite(record))  # last: a folder without it isn't a run yet
    return folder


def _run_record(run: ForeignRun, name: str, source_format: str) -> dict[str, Any]:
    failure = {"type": "Imported", "message": run.failure, "traceback_tail": ""} if run.failure else None
    config = {key: dict(value) if isinstance(value, Mapping) else value for key, value in run.config.items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run.run_id,
        "setting_key": run.setting_key,
        "name": name,
        "status": "failed" if failure else "completed",
        "config": {
            "model": {"name": run.model, "scale": "full"},
            "quantization": {"method": "none"},
            "dataset": {"source": run.dataset, "persona": None},
            "seed": run.seed,
            **config,
            "peft": {"method": run.method, **config.get("peft", {})},
        },
        "predictor": {
            "label": run.label, "trains": run.trains, "has_model": True, "is_reference": not run.trains,
            "description": "",
        },
        "training": dict(run.training),
        "data": {"train_examples": None, "dropped": {}},
        "resources": dict(run.resources),
        "provenance": {
            "created": run.created, "seed": run.seed, "imported_from": str(run.source), "imported_as": source_format,
        },
        "failure": failure,
    }  # fmt: skip


def _write_evaluation(run: ForeignRun, record: Mapping[str, Any], of: ForeignEvaluation, folder: Path) -> None:
    key = _digest(["imported", of.comparable])[:16]
    evaluation_id = _digest([run.run_id, key, sorted(of.metrics)])[:10]
    if of.samples:
        write_json_lines(folder / "evaluations" / f"{evaluation_id}.samples.jsonl", [finite(s) for s in of.samples])
    evaluation = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": evaluation_id,
        "run_id": run.run_id,
        "setting_key": run.setting_key,
        "comparability_key": key,
        "config": {"dataset": {**record["config"]["dataset"], **of.comparable}, "generation": {}, "metrics": {}},
        "metrics": {name: metric.value for name, metric in of.metrics.items()},
        "descriptions": {
            name: metric.described(name, place) for place, (name, metric) in enumerate(of.metrics.items())
        },
        "personas": {},
        "scored": {},
        "data": {"eval_examples": of.items, "dropped": {}},
        "predictions": {},
        "resources": {},
        "provenance": {"created": run.created, "seed": run.seed},
        "failure": None,
    }
    write_json(folder / "evaluations" / f"{evaluation_id}.json", finite(evaluation))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
