"""`python -m benchmarks.tuning`: compare studies that stop losers early with the full grid of the same settings.

Each search is a command of docs/studies.md with its own output folder, so that it reuses no other search's runs.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.commands import children_seconds
from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from persona_sweeps.errors import UserError
from persona_sweeps.records.evaluation import outcome
from persona_sweeps.records.files import write_json
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.provenance import environment, now

BEGIN, END = "<!-- tuning:begin -->", "<!-- tuning:end -->"
RESULT = "tuning.json"
COMMAND = ("-m", "experiment=tuning", "hydra.sweeper.final_seeds=0")
SEARCHES: dict[str, tuple[str, ...]] = {
    "full grid": ("hydra.sweeper.pruner=none",),
    "pruned grid": (),
    "pruned TPE": ("hydra.sweeper.sampler=tpe", "train.learning_rate=tag(log,interval(3e-4,1e-2))"),
}
"""name of a search → what it adds to the command; the others are compared with the first"""


@dataclass(frozen=True, slots=True)
class Search:
    """The result of one search."""

    name: str
    command: str
    states: dict[str, int]
    """state → number of trials"""
    tokens: int
    """trained on, by all trials"""
    cpu_seconds: float
    best_nll: float
    """nats a token on the validation part"""
    best: dict[str, Any]
    """the best trial's parameters"""


def search(name: str, overrides: Sequence[str]) -> Search:
    """Run one search. Raises UserError if its command fails."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*COMMAND, *SEARCHES[name], *overrides]
        before = children_seconds()
        done = subprocess.run([sys.executable, str(ROOT / "launch.py"), *arguments, f"output_dir={folder}"], cwd=folder)
        if done.returncode:
            raise UserError(f"launch.py {' '.join(arguments)} failed, with exit code {done.returncode}.")
        seconds = children_seconds() - before
        rows = json.loads((Path(folder) / "sweeps" / "tuning" / "sweep.json").read_text())["cells"]
        records = [json.loads((Path(folder) / row["folder"] / "run.json").read_text()) for row in rows]
        values = [_value(Path(folder) / row["folder"], row["evaluation_id"]) for row in rows]
    runs = {record["run_id"]: record for record in records}
    best = min(range(len(rows)), key=values.__getitem__)
    return Search(
        name=name,
        command=shlex.join(["python", "launch.py", *arguments]),
        states=dict(Counter(row["state"] for row in rows)),
        tokens=sum(record["training"]["tokens"] for record in runs.values()),
        cpu_seconds=seconds,
        best_nll=values[best],
        best=rows[best]["params"],
    )


def _value(folder: Path, evaluation_id: str) -> float:
    found = outcome(RunFolder(folder), evaluation_id)
    return found.metrics["completion_nll"] if found.status == "completed" else math.inf


def render(kept: Mapping[str, Any]) -> str:
    """Return what was kept of the searches as a Markdown table; the first is what the others are compared with."""
    searches = [Search(**found) for found in kept["searches"]]
    reference = searches[0]
    source = f"{kept['created'][:10]}, {kept['host_cpu']}, torch {kept['packages']['torch']}"
    lines = [
        "| Search | Completed | Pruned | Training tokens | Of the grid's | CPU s | Best NLL | Against the grid |"
        " Setting |",
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | :--- |",
    ]
    for found in searches:
        setting = " ".join(f"{key.rsplit('.', 1)[-1]}={value:.3g}" for key, value in found.best.items())
        cells = (
            found.name,
            *(str(found.states.get(state, 0)) for state in ("completed", "pruned")),
            f"{found.tokens:,}",
            f"{found.tokens / reference.tokens:.0%}",
            f"{found.cpu_seconds:.0f}",
            f"{found.best_nll:.4f}",
            f"{found.best_nll / reference.best_nll - 1:+.2%}",
            setting,
        )
        lines.append(f"| {' | '.join(cells)} |")
    commands = "\n".join(f"- {found.name}: `{found.command}`" for found in searches)
    return "\n" + "\n".join(lines) + f"\n\n{commands}\n- {source}.\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run all searches, save their results, and write the table to docs/studies.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "studies.md", metavar="FILE")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="for a rehearsal, such as model.scale=tiny")
    options = parser.parse_args(argv)
    try:
        searches = [search(name, options.overrides) for name in SEARCHES]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    kept = {"created": now(), **environment(), "searches": [asdict(found) for found in searches]}
    write_json(options.results / RESULT, kept)
    rewrite_between(options.page, BEGIN, END, render(kept))
    print(f"Wrote {options.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
