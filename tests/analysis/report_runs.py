"""Synthetic runs for the report: methods, seeds, studies, failures, and what a hostile model might say."""

from __future__ import annotations

import math
import random
from typing import Any

from tests.analysis.outputs import Outputs
from tests.analysis.records import json_lines

HOSTILE = {
    "script": "<script>document.title='owned';alert(1)</script>",
    "image": "<img src=x onerror=\"document.title='owned';alert(2)\">",
    "end": "</script><script>document.title='owned';alert(3)</script><!--",
    "svg": '<svg/onload=alert(4)><a href="javascript:alert(5)">go</a>',
    "fetch": "<link rel=stylesheet href=https://example.com/x.css><iframe src=https://example.com></iframe>",
    "template": "{{ 7*7 }}{% raw %}${alert(6)}`",
    "bidi": "user \u202e\u2066// check if admin\u2069 \u2066 begin",
    "controls": "bell\x07 escape\x1b[31m null\x00 line\u2028end \ufeff",
    "surrogate": "half \ud800 a pair",
    "long": "w" * 10_000,
    "arabic": "قال هاملت: أكون أو لا أكون",
    "emoji": "👩‍👩‍👧 and a flag 🏳️‍🌈",
}
METHODS = (("none", None), ("lora", 1e-3), ("lora", 5e-3), ("prompt_tuning", 3e-2))
PERSONAS = ("HAMLET", "OPHELIA", "KING")


def items(count: int, quality: float, seed: int, hostile: bool = False) -> list[dict[str, Any]]:
    """Return evaluation items whose mean NLL is about `quality`; the first ones say what is hostile."""
    draw = random.Random(seed)
    rows = []
    evil = list(HOSTILE.values()) if hostile else []
    for number in range(count):
        said = evil[number] if number < len(evil) else f"Answer {number}, said in the manner of seed {seed}."
        rows.append(
            {
                "id": f"scene-{number // 3}/{number}",
                "cluster": f"scene-{number // 3}",
                "persona": PERSONAS[number % len(PERSONAS)],
                "prompt": [
                    {"role": "system", "content": f"You are {PERSONAS[number % len(PERSONAS)]}."},
                    {"role": "user", "content": f"Line {number}: what news?\nSpeak."},
                ],
                "reference": f"My lord, the news is number {number}.",
                "prediction": said,
                "completion_nll": max(0.1, quality + draw.gauss(0, 0.3)),
                "completion_tokens": 5 + number % 7,
                "completion_bytes": 30,
                "rouge1": draw.random() / 2,
                "rougeL": draw.random() / 3,
            }
        )
    return rows


def history(steps: int, quality: float, seed: int) -> list[dict[str, Any]]:
    """Return a loss that comes down to `quality`, held out every tenth step."""
    draw = random.Random(seed)
    rows = []
    for step in range(1, steps + 1):
        loss = quality + 2 * math.exp(-4 * step / steps)
        row = {"step": step, "epoch": 2 * step / steps, "tokens": 900 * step, "seconds": 1.5 * step}
        row |= {"train_nll": loss + draw.gauss(0, 0.08), "learning_rate": 1e-3}
        rows.append(row | ({"eval_nll": loss + 0.1} if step % 10 == 0 else {}))
    return rows


def add_run(
    outputs: Outputs,
    number: int,
    count: int = 24,
    steps: int = 60,
    hostile: bool = False,
    change: dict[str, Any] | None = None,
) -> str:
    """Add a completed run with its items and its history, and return its id."""
    method, rate = METHODS[number % len(METHODS)]
    seed = number // len(METHODS)
    quality = {"none": 4.2, "lora": 3.1, "prompt_tuning": 3.4}[method] + 0.03 * math.sin(number) + 20 * (rate or 0)
    rows = items(count, quality, number, hostile)
    tokens = sum(row["completion_tokens"] for row in rows)
    nll = sum(row["completion_nll"] * row["completion_tokens"] for row in rows) / max(1, tokens)
    changed: dict[str, Any] = {
        "config.seed": seed,
        "config.train.learning_rate": rate,
        "metrics.completion_nll": nll,
        "metrics.bits_per_byte": nll / 3,
        "metrics.rouge1": 0.3 - nll / 40,
        "resources.cpu_seconds": 20.0 + 37 * (number % len(METHODS)) + number,
        "training.tokens": 900 * steps,
        "training.final_train_nll": quality,
        **(change or {}),
    }
    provenance = {"created": "2026-11-20T10:00:00+00:00", "finished": "2026-11-20T11:30:00+00:00"}
    changed |= {f"provenance.{key}": value for key, value in provenance.items()}
    changed |= {"provenance.git_commit": "0123456789abcdef0123", "provenance.git_dirty": True}
    run_id = outputs.run(method, math.exp(nll), changed)
    outputs.add_samples(run_id, rows)
    if method != "none":
        (outputs.folder(run_id) / "history.jsonl").write_text(json_lines(history(steps, quality, number)))
    return run_id
