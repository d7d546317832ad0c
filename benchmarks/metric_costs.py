"""`python -m benchmarks.metric_costs`: what each metric costs, for runs of Falstaff on up to 64 held-out lines.

Adapters are trained for a step each, then scored by all metrics in one command. A run's time within a pass that
it shares is its share of the pass.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from persona_sweeps.errors import UserError
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

BEGIN, END = "<!-- metric-costs:begin -->", "<!-- metric-costs:end -->"
RESULT = "metric_costs.json"
TRAINED = (
    "-m", "sweep.name=costs", "peft=lora", "train.max_steps=1", "train.max_length=256",
    "dataset.persona=Falstaff", "dataset.play=all", "dataset.card=short", "dataset.context_lines=1",
    "dataset.eval_fraction=0.5", "dataset.limit=16", "dataset.eval_limit=64", "generation.max_new_tokens=32",
)  # fmt: skip
METRICS = (
    "likelihood", "overlap", "semantic", "diversity", "style",
    "copying", "ranking", "blending", "forgetting", "boundary",
)  # fmt: skip
NAMES = {"nll held_out": "likelihood of the held-out lines", "text held_out": "texts of 32 tokens or fewer"}


def measure(folder: Path, runs: int, more: Sequence[str]) -> dict[str, Any]:
    """Train, then ask everything; return CPU seconds by what was asked. Raises UserError if a command fails."""
    more = [f"seed=range({runs})", *more]
    _launch(folder, ["metrics=[likelihood]", *more])
    trained = {path: path.read_bytes() for path in folder.glob("runs/*/adapter/adapter_model.safetensors")}
    _launch(folder, [f"metrics=[{','.join(METRICS)}]", *more])
    if any(path.read_bytes() != content for path, content in trained.items()):
        raise UserError("Another metric has trained an adapter again.")
    seconds: Counter[str] = Counter()
    for path in folder.glob("runs/*/predictions/*.json"):
        head = json.loads(path.read_text(encoding="utf-8"))
        asked = head["request"]
        of = f"{asked['kind']} {asked['prompt_set']}" + (" by base" if asked.get("by") == "base" else "")
        seconds[of] += head["resources"]["cpu_seconds"]
    scoring = sum(_scoring(path) for path in folder.glob("runs/*/evaluations/*.json"))
    items = {json.loads(path.read_text(encoding="utf-8"))["data"]["eval_examples"] for path in _evaluations(folder)}
    return {"runs": len(trained), "items": max(items), "cpu_seconds": dict(seconds), "scoring_seconds": scoring}


def _launch(folder: Path, overrides: Sequence[str]) -> None:
    command = [sys.executable, str(ROOT / "launch.py"), *TRAINED, f"output_dir={folder}", *overrides]
    if subprocess.run(command, cwd=folder).returncode:
        raise UserError(f"{' '.join(command[2:])} failed.")


def _evaluations(folder: Path) -> list[Path]:
    return sorted(folder.glob("runs/*/evaluations/*.json"))


def _scoring(evaluation: Path) -> float:
    found: float = json.loads(evaluation.read_text(encoding="utf-8"))["resources"]["scoring_seconds"]
    return found


def render(kept: Mapping[str, Any]) -> str:
    """Return what was kept as a Markdown table, the dearest first."""
    rows = [f"| {kept['runs']} runs, {kept['items']} held-out lines | CPU s | share |", "| --- | ---: | ---: |"]
    parts = [*kept["cpu_seconds"].items(), ("scoring all of it, without a model", kept["scoring_seconds"])]
    total = sum(seconds for _, seconds in parts)
    for name, seconds in sorted(parts, key=lambda part: -part[1]):
        named = NAMES.get(name, name.removeprefix("nll ").removeprefix("text "))
        rows.append(f"| {named} | {seconds:.1f} | {100 * seconds / total:.0f} % |")
    return "\n".join([*rows, f"| all | {total:.1f} | |"])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, keep the figures, and put them into docs/characters.md."""
    summary = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metric_costs", description=summary)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "characters.md", metavar="FILE")
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("overrides", nargs="*", help="of all runs, such as model.scale=tiny to try this out")
    options = parser.parse_intermixed_args(argv)
    with tempfile.TemporaryDirectory() as name:
        kept = {"created": now(), **environment(), **measure(Path(name), options.runs, options.overrides)}
    write_json(options.results / RESULT, kept)
    rewrite_between(options.page, BEGIN, END, render(kept))
    print(render(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
