"""Results of PEFT's own method comparison: a JSON file a run, with run_info, train_info and meta_info."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from persona_sweeps.errors import DataError

from .record import ForeignEvaluation, ForeignMetric, ForeignRun

SUMMARY = "the results folder of PEFT's method_comparison (a JSON file a run), such as MetaMathQA's"
_DIRECTIONS = {"test accuracy": True, "forgetting": False, "test loss": False, "test dino similarity": True}
"""which way a number of the last evaluation is better, as PEFT's own board ranks it"""
_SHARES = ("test accuracy",)
_TEST_ITEMS = {"MetaMathQA": 1319}
"""of the test part that a comparison evaluates, which its files don't say: GSM8K's"""


def read(path: Path) -> Sequence[ForeignRun]:
    """Return a run a file; a folder may have others between. Raises DataError where there is none of this format."""
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    found = [run for file in files if (run := _read(file)) is not None]
    if not found:
        raise DataError(f"{path}: no file has run_info and train_info, as PEFT's method comparison writes them.")
    return found


def _read(path: Path) -> ForeignRun | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read as JSON: {error}.") from error
    if not (isinstance(value, Mapping) and all(isinstance(value.get(k), Mapping) for k in ("run_info", "train_info"))):
        return None
    info, trained = value["run_info"], value["train_info"]
    train, peft = _part(info, "train_config"), _part(info, "peft_config")
    experiment = str(info.get("experiment_name") or path.stem)
    method, _, setting = experiment.partition("/")
    task = path.parent.parent.name if path.parent.name.endswith("results") else "method comparison"
    failed = trained.get("status") not in ("success", None)
    last = _last(trained)
    return ForeignRun(
        source=path,
        model=str(train.get("model_id") or peft.get("base_model_name_or_path") or "?"),
        method=str(peft.get("peft_type") or method).lower(),
        label=f"{method} {setting}".strip(),
        dataset=task,
        evaluations=[] if failed or not last else [_evaluation(task, value, last)],
        config={"peft": _plain(peft), "train": _plain(train) | {"learning_rate": _rate(train)}},
        seed=train.get("seed") if isinstance(train.get("seed"), int) else None,
        training={
            "trainable_parameters": trained.get("num_trainable_params"),
            "tokens": last.get("train total tokens"),
            "adapter_bytes": trained.get("file_size"),
        },
        resources={
            "wall_seconds": trained.get("train_time"),
            "peak_device_bytes": trained.get("cuda_memory_max") or trained.get("accelerator_memory_max"),
            "device": "cuda",
        },
        failure=str(info.get("error_msg") or trained.get("status")) if failed else None,
        created=str(info.get("created_at") or ""),
    )


def _evaluation(task: str, value: Mapping[str, Any], last: Mapping[str, Any]) -> ForeignEvaluation:
    data = _part(_part(value, "meta_info"), "dataset_info")
    train = _part(value["run_info"], "train_config")
    metrics = {
        name.replace(" ", "_"): ForeignMetric(
            float(last[name]), higher, name, *((0.0, 1.0) if name in _SHARES else (None, None))
        )
        for name, higher in _DIRECTIONS.items()
        if isinstance(last.get(name), int | float)
    }
    # The revision of the training data and of the test data, which may change from run to run, isn't compared by: PEFT
    # itself ranks across them.
    comparable = {"task": task, "datasets": sorted(data), "query_template": train.get("query_template")}
    return ForeignEvaluation(comparable, metrics, _TEST_ITEMS.get(task))


def _last(trained: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the evaluation on the test part, which stands last."""
    steps = trained.get("metrics")
    found = [step for step in steps if isinstance(step, Mapping)] if isinstance(steps, list) else []
    return next((step for step in reversed(found) if any(name in step for name in _DIRECTIONS)), {})


def _part(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config without what is empty or says only where things are."""
    return dict(_kept(config))


def _kept(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if value not in (None, {}, [], "") and key not in ("seed", "base_model_name_or_path", "model_id"):
            yield key, value


def _rate(train: Mapping[str, Any]) -> Any:
    return _part(train, "optimizer_kwargs").get("lr")
