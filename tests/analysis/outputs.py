"""An output directory made by hand, a record at a time."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.analysis.records import Record, evaluation_record, json_lines, run_record

_CONFIG: Record = {
    "model": {"name": "smollm2_135m_instruct", "scale": "full"},
    "quantization": {"method": "none"},
    "peft": {"method": "lora", "learning_rate": 2e-4, "r": 8, "alpha": 16.0, "dropout": 0.0, "target_modules": "auto"},
    "dataset": {"source": "shakespeare", "persona": "HAMLET"},
    "generation": {"method": "greedy", "max_new_tokens": 64},
    "metrics": {"likelihood": {}, "overlap": {}},
    "train": {"learning_rate": None, "epochs": 1.0, "max_length": 512, "precision": "auto"},
    "sweep": {"name": "demo"},
    "seed": 0,
    "output_dir": "multirun_outputs",
}
_PEFT: dict[str, Record] = {
    "none": {"method": "none", "learning_rate": None},
    "few_shot": {"method": "few_shot", "learning_rate": None, "shots": 4},
    "nearest_reply": {"method": "nearest_reply", "learning_rate": None},
    "prompt_tuning": {"method": "prompt_tuning", "learning_rate": 3e-2, "num_virtual_tokens": 16, "init": "text"},
}
_PARAMETERS = {"none": 0, "few_shot": 0, "nearest_reply": 0, "prompt_tuning": 9216, "lora": 460800}
SPACE: dict[str, Record] = {
    "peft.r": {"name": "CategoricalDistribution", "attributes": {"choices": [4, 8, 16]}},
    "train.learning_rate": {
        "name": "FloatDistribution",
        "attributes": {"step": None, "low": 1e-4, "high": 1e-2, "log": True},
    },
}
_OF_EVALUATION = ("metrics", "descriptions", "comparability_key", "evaluation", "predictions")
"""parts that `change` and `top` put into the evaluation, not into the run"""


class Outputs:
    """An output directory; `run` adds a run and its evaluation.

    What it changes in them is named by dotted paths, such as `{"config.peft.r": 16}` of both, `{"training.tokens": 9}`
    of the run, `{"metrics.bleu": 0.2}` or `{"evaluation.resources.cpu_seconds": 1}` of the evaluation.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0
        self.configs: dict[str, Record] = {}

    def run(
        self, method: str = "lora", ppl: float | None = 10.0, change: dict[str, Any] | None = None, **top: Any
    ) -> str:
        """Add a run, with an evaluation if it is completed, and return its id."""
        self.count += 1
        run_id = f"{self.count:010x}"
        change = {**(change or {}), **{key: value for key, value in top.items() if key.split(".")[0] in _OF_EVALUATION}}
        of_run = {key: value for key, value in top.items() if key.split(".")[0] not in _OF_EVALUATION}
        config = copy.deepcopy(_CONFIG)
        config["peft"] = copy.deepcopy(_PEFT.get(method, {**config["peft"], "method": method}))
        _put(config, {key.removeprefix("config."): v for key, v in change.items() if key.startswith("config.")})
        self.configs[run_id] = config
        rest = {key: value for key, value in change.items() if not key.startswith("config.")}
        data = rest.get("provenance.data_fingerprint", "d0")
        record = run_record(run_id, config, data, name=f"{method}-{self.count}")
        record["training"] = {"trainable_parameters": _PARAMETERS.get(method, 1000)}
        record["resources"] = {"wall_seconds": 61.4, "cpu_seconds": 118.0, "group_size": 2, "device": "cpu"}
        record |= of_run
        _put(record, {key: value for key, value in rest.items() if key.split(".")[0] not in _OF_EVALUATION})
        self.write(f"runs/{record['name']}-{run_id}/run.json", json.dumps(record))
        if record["status"] == "completed":
            metrics: dict[str, float | None] = {"rouge1": 0.2, "rouge2": 0.05, "rougeL": 0.15, "rougeLsum": 0.15}
            metrics["bleu"] = 0.01
            if ppl is not None:
                metrics |= {"completion_ppl": ppl, "bits_per_byte": ppl / 10}
            self.evaluate(run_id, metrics, rest)
        return run_id

    def evaluate(
        self, run_id: str, metrics: Mapping[str, float | None], change: Mapping[str, Any] | None = None, number: int = 0
    ) -> str:
        """Add an evaluation of a run, and return its id; another `number` gives it another one."""
        change = change or {}
        config = copy.deepcopy(self.configs[run_id])
        _put(config, {key.removeprefix("config."): v for key, v in change.items() if key.startswith("config.")})
        run = json.loads((self.folder(run_id) / "run.json").read_text())
        evaluation_id = f"{'ef'[number]}{run_id[1:]}"
        changed = dict(change.get("metrics", metrics))
        changed |= {key.removeprefix("metrics."): v for key, v in change.items() if key.startswith("metrics.")}
        described = {k.removeprefix("descriptions."): v for k, v in change.items() if k.startswith("descriptions.")}
        key = change.get("comparability_key", "aaaaaaaaaaaa")
        record = evaluation_record(run, config, changed, key, evaluation_id, descriptions=described)
        _put(record, {key.removeprefix("evaluation."): v for key, v in change.items() if key.startswith("evaluation.")})
        path = self.folder(run_id) / "evaluations" / f"{evaluation_id}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record))
        return evaluation_id

    def sweep(self, name: str, run_ids: Iterable[str], more: Iterable[Any] = ()) -> None:
        """Write the sweep.json of these runs, in order."""
        cells = [self.cell(run_id) for run_id in run_ids]
        sweep = {"schema_version": 2, "name": name, "command": "launch.py -m", "cells": [*cells, *more]}
        self.write(f"sweeps/{name}/sweep.json", json.dumps(sweep))

    def cell(self, run_id: str, **more: Any) -> Record:
        """Return the cell of a sweep that asks for a run and its first evaluation."""
        found = {"overrides": [f"a={run_id}"], "run_id": run_id, "evaluation_id": f"e{run_id[1:]}"}
        return found | {"folder": f"runs/{self.folder(run_id).name}", "state": "completed"} | more

    def trial(
        self,
        study: str,
        number: int,
        value: float | dict[str, float] | None = None,
        params: dict[str, Any] | None = None,
        state: str = "completed",
        tokens: float | None = 1000,
        **top: Any,
    ) -> Record:
        """Add a trial's run, with its completion NLL or these metrics, and return its cell for `study_sweep`."""
        metrics = value if isinstance(value, dict) else {} if value is None else {"completion_nll": value}
        training = {"trainable_parameters": 1000} | ({} if tokens is None else {"tokens": tokens})
        change = {"metrics": metrics, "training": training, "config.dataset.evaluate_on": "validation"}
        change |= {f"config.{key}": item for key, item in (params or {}).items()}
        if state == "failed":
            top = {"failure": {"type": "TrialError", "message": "loss is NaN"}, **top}
        run_id = self.run("lora", None, change, status=state, **top)
        return self.cell(run_id, overrides=[], state=state, study=study, trial=number, params=params or {})

    def study_sweep(self, name: str, studies: Mapping[str, Any], cells: Iterable[Any]) -> None:
        """Write the sweep.json of studies: those keys of each that aren't the usual."""
        usual: Record = {"metric": ["completion_nll"], "direction": ["minimize"], "sampler": "random", "pruner": "none"}
        usual |= {"n_trials": 16, "max_tokens": None, "space": SPACE}
        described = {study: usual | about if isinstance(about, dict) else about for study, about in studies.items()}
        sweep = {"schema_version": 2, "name": name, "command": "launch.py -m", "studies": described}
        self.write(f"sweeps/{name}/sweep.json", json.dumps({**sweep, "cells": list(cells)}))

    def write(self, relative: str, text: str) -> Path:
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def folder(self, run_id: str) -> Path:
        (folder,) = self.root.glob(f"runs/*-{run_id}")
        return folder

    def evaluation(self, run_id: str) -> Path:
        """Return the file of a run's first evaluation."""
        return self.folder(run_id) / "evaluations" / f"e{run_id[1:]}.json"

    def samples(self, run_id: str) -> Path:
        """Return the file of the evaluated items of a run's first evaluation."""
        return self.folder(run_id) / "evaluations" / f"e{run_id[1:]}.samples.jsonl"

    def add_samples(self, run_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
        self.samples(run_id).write_text(json_lines(rows), encoding="utf-8")


def _put(record: Record, changes: Mapping[str, Any]) -> None:
    """Change a record by dotted paths."""
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        node = record
        for key in path:
            node = node[key]
        node[last] = value
