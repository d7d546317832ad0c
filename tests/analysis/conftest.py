"""Run folders as a sweep leaves them behind, made by hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_CONFIG: dict[str, Any] = {
    "model": {"name": "smollm2_135m_instruct", "scale": "full"},
    "quantization": {"method": "none"},
    "peft": {"method": "lora", "learning_rate": 2e-4, "r": 8, "alpha": 16.0, "dropout": 0.0, "target_modules": "auto"},
    "dataset": {"source": "shakespeare", "persona": "HAMLET"},
    "train": {"learning_rate": None, "epochs": 1.0, "max_length": 512, "precision": "auto"},
    "sweep": {"name": "demo"},
    "seed": 0,
    "output_dir": "multirun_outputs",
}
_PEFT: dict[str, dict[str, Any]] = {
    "none": {"method": "none", "learning_rate": None},
    "prompt_tuning": {"method": "prompt_tuning", "learning_rate": 3e-2, "num_virtual_tokens": 16, "init": "text"},
}
SPACE: dict[str, dict[str, Any]] = {
    "peft.r": {"name": "CategoricalDistribution", "attributes": {"choices": [4, 8, 16]}},
    "train.learning_rate": {
        "name": "FloatDistribution",
        "attributes": {"step": None, "low": 1e-4, "high": 1e-2, "log": True},
    },
}
_PARAMETERS = {"none": 0, "prompt_tuning": 9216, "lora": 460800}


class Outputs:
    """An output directory; `run` adds one record, changed by dotted paths such as `{"config.peft.r": 16}`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0

    def run(
        self, method: str = "lora", ppl: float | None = 10.0, change: dict[str, Any] | None = None, **top: Any
    ) -> str:
        self.count += 1
        run_id = f"{self.count:010x}"
        config = copy.deepcopy(_CONFIG)
        config["peft"] = copy.deepcopy(_PEFT.get(method, {**config["peft"], "method": method}))
        metrics = {"rouge1": 0.2, "rouge2": 0.05, "rougeL": 0.15, "rougeLsum": 0.15, "bleu": 0.01}
        if ppl is not None:
            metrics |= {"completion_ppl": ppl, "bits_per_byte": ppl / 10}
        record: dict[str, Any] = {
            "schema_version": 1,
            "run_id": run_id,
            "name": f"{method}-{self.count}",
            "status": "completed",
            "config": config,
            "comparability_key": "aaaaaaaaaaaa",
            "metrics": metrics,
            "training": {"trainable_parameters": _PARAMETERS.get(method, 1000)},
            "resources": {"wall_seconds": 61.4, "cpu_seconds": 118.0, "group_size": 2, "device": "cpu"},
            "provenance": {"data_fingerprint": "d0", "template_fingerprint": "t0", "model_fingerprint": "m0"},
            "data": {"train_examples": 500, "eval_examples": 48, "dropped": {}},
            "failure": None,
            **top,
        }
        for dotted, value in (change or {}).items():
            *path, last = dotted.split(".")
            place = record
            for key in path:
                place = place[key]
            place[last] = value
        self.write(f"runs/{record['name']}-{run_id}/run.json", json.dumps(record))
        return run_id

    def sweep(self, name: str, run_ids: list[str], more: list[Any] | None = None) -> None:
        cells = [{"overrides": [f"a={n}"], "run_id": n, "folder": f"runs/x-{n}", "state": "completed"} for n in run_ids]
        sweep = {"schema_version": 1, "name": name, "command": "launch.py -m", "cells": [*cells, *(more or [])]}
        self.write(f"sweeps/{name}/sweep.json", json.dumps(sweep))

    def trial(
        self,
        study: str,
        number: int,
        value: float | dict[str, float] | None = None,
        params: dict[str, Any] | None = None,
        state: str = "completed",
        tokens: float | None = 1000,
        **top: Any,
    ) -> dict[str, Any]:
        """Add a trial's run, with its completion NLL or these metrics, and return its cell for `study_sweep`."""
        metrics = value if isinstance(value, dict) else {} if value is None else {"completion_nll": value}
        training = {"trainable_parameters": 1000} | ({} if tokens is None else {"tokens": tokens})
        change = {"metrics": metrics, "training": training, "config.dataset.evaluate_on": "validation"}
        change |= {f"config.{key}": item for key, item in (params or {}).items()}
        if state == "failed":
            top = {"failure": {"type": "TrialError", "message": "loss is NaN"}, **top}
        run_id = self.run("lora", None, change, status=state, **top)
        cell = {"overrides": [], "run_id": run_id, "folder": f"runs/lora-{self.count}-{run_id}", "state": state}
        return cell | {"study": study, "trial": number, "params": params or {}}

    def study_sweep(self, name: str, studies: dict[str, Any], cells: list[Any]) -> None:
        """Write the sweep.json of studies: those keys of each that aren't the usual."""
        usual = {"metric": ["completion_nll"], "direction": ["minimize"], "sampler": "random", "pruner": "none"}
        usual |= {"n_trials": 16, "max_tokens": None, "space": SPACE}
        described = {study: usual | about if isinstance(about, dict) else about for study, about in studies.items()}
        sweep = {"schema_version": 1, "name": name, "command": "launch.py -m", "studies": described, "cells": cells}
        self.write(f"sweeps/{name}/sweep.json", json.dumps(sweep))

    def write(self, relative: str, text: str) -> Path:
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def folder(self, run_id: str) -> Path:
        (folder,) = self.root.glob(f"runs/*-{run_id}")
        return folder


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    return Outputs(tmp_path / "outputs")


@pytest.fixture
def new_outputs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Outputs]:
    """Make a fresh output directory at each call, for property tests."""
    return lambda: Outputs(tmp_path_factory.mktemp("outputs"))
