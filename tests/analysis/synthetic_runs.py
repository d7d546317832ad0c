"""Many run folders at once, with evaluated items whose truth is known."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.analysis.records import Record, evaluation_record, json_lines, predictor, run_record


def config(**change: Any) -> Record:
    """Return a run's config, changed by keys with `__` for dots."""
    found: Record = {
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
        node = found
        for key in path:
            node = node[key]
        node[last] = value
    return found


@lru_cache(maxsize=64)
def bleu_counts(prediction: str, reference: str) -> list[int]:
    """Return matches and totals of 1- to 4-grams, and both lengths, as sacreBLEU counts them."""
    from sacrebleu.metrics.bleu import BLEU

    score = BLEU(effective_order=True).sentence_score(prediction, [reference])
    return [int(count) for count in (*score.counts, *score.totals, score.sys_len, score.ref_len)]


def corpus_bleu(texts: Sequence[tuple[str, str]]) -> float:
    """Return sacreBLEU's score of predictions and references, as a fraction."""
    from sacrebleu.metrics.bleu import BLEU

    predictions, references = [text for text, _ in texts], [reference for _, reference in texts]
    return min(1.0, BLEU(force=True).corpus_score(predictions, [references]).score / 100)


def write(
    root: Path,
    run_id: str,
    of_run: Record,
    nll: Sequence[Sequence[float]],
    tokens: Sequence[Sequence[int]] | None = None,
    key: str = "k" * 16,
    texts: Sequence[tuple[str, str]] = (("to be or not to be", "to be or to sleep"),),
    metrics: Mapping[str, float] | None = None,
    descriptions: Mapping[str, Any] | None = None,
    columns: Mapping[str, Sequence[Any]] | None = None,
    of_evaluation: Mapping[str, Any] | None = None,
    **top: Any,
) -> Path:
    """Write a run with these NLLs (nats a token), a list a scene; its metrics are those of its items.

    A run without a model has its texts scored alone. `metrics` are more of them, with `columns` of the items. Returns
    the run's folder, whose evaluation is called `e`.
    """
    has_model = predictor(of_run["peft"])["has_model"]
    tokens = tokens or [[10] * len(scene) for scene in nll]
    lines: list[Record] = []
    for scene, (values, counts) in enumerate(zip(nll, tokens, strict=True)):
        for line, (value, count) in enumerate(zip(values, counts, strict=True)):
            prediction, reference = texts[len(lines) % len(texts)]
            likelihood = {"completion_nll": value, "completion_tokens": count, "completion_bytes": 4 * count}
            more = {name: column[len(lines)] for name, column in (columns or {}).items()}
            lines.append(
                {"id": f"{scene}/{line}", "cluster": f"scene {scene}", "prompt": "p", "prediction": prediction,
                 "reference": reference, **(likelihood if has_model else {}), "rougeL": 1 / (1 + value), **more}
            )  # fmt: skip
    found = {**(_likelihood(lines) if has_model else {}), "rougeL": sum(line["rougeL"] for line in lines) / len(lines)}
    run = run_record(run_id, of_run, **top)
    folder = root / "runs" / f"run-{run_id}"
    (folder / "evaluations").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(run))
    evaluation = evaluation_record(
        run, of_run, found | dict(metrics or {}), key, "e", len(lines), descriptions, **(of_evaluation or {})
    )
    (folder / "evaluations" / "e.json").write_text(json.dumps(evaluation))
    (folder / "evaluations" / "e.samples.jsonl").write_text(json_lines(lines))
    return folder


def _likelihood(lines: Sequence[Record]) -> dict[str, float]:
    tokens = sum(line["completion_tokens"] for line in lines)
    mean = sum(line["completion_nll"] * line["completion_tokens"] for line in lines) / tokens
    return {"completion_nll": mean, "completion_ppl": math.exp(mean), "bits_per_byte": mean / 4 / math.log(2)}


def sweep(root: Path, settings: int, seeds: int, scenes: int = 8, effect: float = 0.0, seed: int = 0) -> None:
    """Write `settings` × `seeds` runs on the same items; setting k's true NLL is 3 + k·effect."""
    rng = np.random.default_rng(seed)
    common = rng.normal(3, 0.4, scenes)
    for number in range(settings):
        for of_seed in range(seeds):
            value = common + number * effect + rng.normal(0, 0.05, scenes)
            run_id = f"{number:06x}{of_seed:04x}"
            write(root, run_id, config(peft__r=number + 1, seed=of_seed), [[v] for v in value.tolist()])
