"""`python -m benchmarks.contrastive`: do contrastive lines keep three characters of one adapter apart?

One LoRA learns three characters of Shakespeare, each behind a card. It then goes on for as many steps on contrastive
lines made of the same training lines, or, to compare with, on these lines themselves. All are scored on the same
held-out lines behind each card.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.read.matrices import Matrix, matrices
from analysis.read.selection import read_all
from analysis.statistics.mixing import Known, bleed, identified, swap_margin
from benchmarks.commands import children_seconds
from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from persona_sweeps.config.kinds import SOURCES
from persona_sweeps.data import load_corpus
from persona_sweeps.data.contrast.command import main as contrast
from persona_sweeps.data.example import Example
from persona_sweeps.errors import UserError
from persona_sweeps.records.files import write_json, write_json_lines
from persona_sweeps.records.provenance import environment, now

BEGIN, END = "<!-- contrastive:begin -->", "<!-- contrastive:end -->"
RESULT = "contrastive.json"
DATA: Mapping[str, Any] = {
    "persona": ["Hamlet", "Falstaff", "Rosalind"],
    "play": ["hamlet", "henry-iv-part-1", "as-you-like-it"],
    "card": "short",
    "context_lines": 1,
    "eval_fraction": 0.4,
    "limit": 240,
    "eval_limit": 60,
    "eval_per_cluster": 6,
}
TRAIN = ("peft=lora", "train.max_length=256")
STAGES = {"": "before", "contrastive": "after contrastive lines", "more": "after more of the same lines"}


def measure(folder: Path, seeds: int, more: Sequence[str]) -> dict[str, Any]:
    """Run all stages in a folder; return what each says of the three characters. Raises UserError if one fails."""
    before = children_seconds()
    shakespeare = [f"dataset.{key}={_override(value)}" for key, value in DATA.items()]
    _launch(folder, "first", [*TRAIN, *shakespeare, _seeds(range(seeds)), "metrics=[likelihood,blending]", *more])
    _write_contrast(folder, more)
    table = ["dataset=table", f"dataset.path={folder / 'contrast.jsonl'}", "dataset.eval_limit=8"]
    steps = f"train.max_steps={_steps(folder / 'contrast.jsonl')}"
    for seed, run in enumerate(_runs(folder, "first")):
        go_on = [*TRAIN, f"peft.start_from={run}", f"seed={seed}", steps, "metrics=[likelihood]", *more]
        _launch(folder, f"contrastive-{seed}", [*table, *go_on])
        _launch(folder, f"more-{seed}", [*shakespeare, *go_on])
    for stage in ("contrastive", "more"):
        for seed in range(seeds):
            (run,) = _runs(folder, f"{stage}-{seed}")
            adapter = ["peft=adapter", f"peft.path={run / 'adapter'}", "train.max_length=256"]
            _launch(folder, f"scored-{stage}-{seed}", [*shakespeare, *adapter, "metrics=[likelihood,blending]", *more])
    return {"cpu_seconds": children_seconds() - before, "stages": [_stage(folder, name, seeds) for name in STAGES]}


def _override(value: Any) -> str:
    return f"[{','.join(value)}]" if isinstance(value, list) else str(value)


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed={','.join(map(str, seeds))}"


def _launch(folder: Path, sweep: str, overrides: Sequence[str]) -> None:
    command = [sys.executable, str(ROOT / "launch.py"), "-m", f"sweep.name={sweep}", f"output_dir={folder}", *overrides]
    if subprocess.run(command, cwd=folder).returncode:
        raise UserError(f"{' '.join(command[2:])} failed.")


def _runs(folder: Path, sweep: str) -> list[Path]:
    cells = json.loads((folder / "sweeps" / sweep / "sweep.json").read_text(encoding="utf-8"))["cells"]
    return [folder / cell["folder"] for cell in cells]


def _write_contrast(folder: Path, more: Sequence[str]) -> None:
    """Write contrastive lines of the training lines alone, so that nothing held out is learned."""
    given = [override.removeprefix("dataset.").partition("=") for override in more]
    limits = {key: int(value) for key, _, value in given if key in DATA}
    train = load_corpus(SOURCES.make("shakespeare", {"source": "shakespeare", **DATA, **limits})).train
    write_json_lines(folder / "personas.jsonl", map(_row, train))
    # Without a marker: the card alone says who is asked, as when lines are scored.
    if contrast([str(folder / "contrast.jsonl"), "--data", str(folder / "personas.jsonl"), "--marker", ""]):
        raise UserError("No contrastive lines could be made.")


def _row(example: Example) -> dict[str, str]:
    assert not isinstance(example.prompt, str), "a card is asked for"
    row = {"prompt": example.prompt[-1].content, "completion": example.completion, "persona": str(example.persona)}
    return row | {"cluster": example.cluster, "system": example.prompt[0].content}


def _steps(contrastive: Path) -> int:
    """Return the steps of one epoch of what isn't held out, at eight lines a step."""
    return max(1, round(0.8 * len(contrastive.read_text(encoding="utf-8").splitlines()) / 8))


def _stage(folder: Path, stage: str, seeds: int) -> dict[str, Any]:
    """Return the values of a stage over its seeds."""
    names = ["first"] if not stage else [f"scored-{stage}-{seed}" for seed in range(seeds)]
    ids = {run.name.rpartition("-")[2] for name in names for run in _runs(folder, name)}
    results = [result for result in read_all(folder).scored() if result.run_id in ids]
    found, troubles = matrices(results)
    if troubles:
        raise UserError(" ".join(troubles))
    matrix = _joined(found)
    values = {"identified": identified(matrix), "bleed": bleed(matrix), "swap_margin": swap_margin(matrix)}
    return {"stage": stage, "lines": len(next(iter(matrix.by_seed.values()))), "runs": sorted(ids)} | {
        name: _record(known) for name, known in values.items()
    }


def _joined(found: Sequence[Matrix]) -> Matrix:
    """Return one matrix of the seeds, whose adapters are settings of their own."""
    by_seed = {f"{number} {seed}": lines for number, of in enumerate(found) for seed, lines in of.by_seed.items()}
    first = found[0]
    return Matrix(first.setting, first.model, first.data, first.by_run, first.characters, by_seed, first.run_ids)


def _record(known: Known) -> dict[str, float | None]:
    low, high = (known.interval.low, known.interval.high) if known.interval is not None else (None, None)
    return {"value": known.value, "low": low, "high": high}


def render(kept: Mapping[str, Any]) -> str:
    """Return what was kept of the stages as a Markdown table."""
    rows = ["| one adapter of three characters | identified | bleed ↓ | swap margin |", "| --- | ---: | ---: | ---: |"]
    for stage in kept["stages"]:
        cells = [STAGES[stage["stage"]], *(_text(stage[name]) for name in ("identified", "bleed", "swap_margin"))]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _text(found: Mapping[str, float | None]) -> str:
    if found["value"] is None:
        return "–"
    interval = "" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]"
    return f"{found['value']:.3f}{interval}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stages, keep their values, and put them into docs/characters.md."""
    summary = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contrastive", description=summary)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "characters.md", metavar="FILE")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("overrides", nargs="*", help="of all runs, such as model.scale=tiny to try this out")
    options = parser.parse_intermixed_args(argv)
    with tempfile.TemporaryDirectory() as name:
        kept = {"created": now(), **environment(), **measure(Path(name), options.seeds, options.overrides)}
    write_json(options.results / RESULT, kept)
    rewrite_between(options.page, BEGIN, END, render(kept))
    print(render(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
