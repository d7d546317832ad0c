"""Many run folders at once, with evaluation items whose truth is known."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Config = dict[str, Any]


def config(**change: Any) -> Config:
    """Return a run's config, changed by keys with `__` for dots."""
    found: Config = {
        "model": {"name": "m", "scale": "full", "instruct": False, "counterpart": "m_it"},
        "quantization": {"method": "none"},
        "peft": {"method": "lora", "learning_rate": 1e-3, "r": 8, "alpha": 16.0},
        "dataset": {"source": "shakespeare", "persona": "HAMLET"},
        "generation": {"method": "greedy", "max_new_tokens": 32},
        "metrics": {"likelihood": {}, "overlap": {}},
        "train": {"learning_rate": None, "epochs": 1.0, "max_length": 512, "precision": "fp32"},
        "sweep": {"name": "demo"},
        "seed": 0,
    }
    for dotted, value in change.items():
        *path, last = dotted.split("__")
        place = found
        for key in path:
            place = place[key]
        place[last] = value
    return found


def write(
    root: Path,
    run_id: str,
    of_run: Config,
    nll: Sequence[Sequence[float]],
    tokens: Sequence[Sequence[int]] | None = None,
    key: str = "k" * 16,
    texts: Sequence[tuple[str, str]] = (("to be or not to be", "to be or to sleep"),),
    likelihood: bool = True,
    **top: Any,
) -> Path:
    """Write a run with these NLLs (nats a token), a list a scene; its metrics are those of its items.

    Without `likelihood` it's a run without a model: its texts are scored, and NLLs and tokens are null.
    """
    tokens = tokens or [[10] * len(scene) for scene in nll]
    lines, place = [], 0
    for scene, (values, counts) in enumerate(zip(nll, tokens, strict=True)):
        for line, (value, count) in enumerate(zip(values, counts, strict=True)):
            prediction, reference = texts[place % len(texts)]
            place += 1
            lines.append(
                {"id": f"{scene}/{line}", "cluster": f"scene {scene}", "prompt": "p", "prediction": prediction,
                 "reference": reference, "completion_nll": value, "completion_tokens": count,
                 "completion_bytes": 4 * count, "rougeL": 1 / (1 + value)}
            )  # fmt: skip
    total = sum(line["completion_nll"] * line["completion_tokens"] for line in lines)
    words = sum(line["completion_tokens"] for line in lines)
    metrics = {
        "completion_nll": total / words,
        "completion_ppl": math.exp(total / words),
        "bits_per_byte": total / words / 4 / math.log(2),
        "rougeL": sum(line["rougeL"] for line in lines) / len(lines),
    }
    if not likelihood:
        metrics = {"rougeL": metrics["rougeL"]}
        lines = [line | {"completion_nll": None, "completion_tokens": None} for line in lines]
    record = {
        "schema_version": 1, "run_id": run_id, "name": f"run-{run_id}", "status": "completed", "config": of_run,
        "comparability_key": key, "metrics": metrics, "training": {"trainable_parameters": 1000},
        "resources": {"wall_seconds": 5.0, "cpu_seconds": 9.0, "group_size": 1, "device": "cpu"},
        "provenance": {"data_fingerprint": "d0", "packages": {"sacrebleu": "2.6.0"}},
        "data": {"eval_examples": len(lines)}, "failure": None, **top,
    }  # fmt: skip
    folder = root / "runs" / f"run-{run_id}"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def sweep(root: Path, settings: int, seeds: int, scenes: int = 8, effect: float = 0.0, seed: int = 0) -> None:
    """Write `settings` × `seeds` runs on the same items; setting k's true NLL is 3 + k·effect."""
    rng = np.random.default_rng(seed)
    common = rng.normal(3, 0.4, scenes)
    for place in range(settings):
        for of_seed in range(seeds):
            value = common + place * effect + rng.normal(0, 0.05, scenes)
            write(
                root,
                f"{place:06x}{of_seed:04x}",
                config(peft__r=place + 1, seed=of_seed),
                [[v] for v in value.tolist()],
            )
