"""`python -m benchmarks.demo`: README's table and exchanges, which are those of `make demo`."""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.formats.md import cell
from benchmarks.commands import children_seconds
from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

BEGIN, END = "<!-- demo:begin -->", "<!-- demo:end -->"
RESULT = "demo.json"
SIDES = {"none": "untuned", "lora": "LoRA"}
"""method → heading of the replies shown"""
LONGEST = 110
"""characters shown of a text"""


def measure(folder: Path, more: Sequence[str] = ()) -> dict[str, Any]:
    """Run the demonstration in a folder, with `more` overrides; return what it took, its table, and exchanges."""
    before = children_seconds()
    subprocess.run([sys.executable, str(ROOT / "launch.py"), "-m", "experiment=demo", *more], cwd=folder, check=True)
    seconds = children_seconds() - before
    rows = json.loads(_characters(folder, "json"))["tables"][0]["raw"]
    return {
        "cpu_seconds": seconds,
        "table": table(_characters(folder, "md")).splitlines(),
        "exchanges": list(exchanges(folder / "multirun_outputs")),
        "rows": rows,
    }


def table(page: str, number: int = 0) -> str:
    """Return one of the tables of a page in Markdown."""
    runs = itertools.groupby(page.splitlines(), key=lambda line: line.startswith("|"))
    tables = ["\n".join(lines) for is_table, lines in runs if is_table]
    return tables[number]


def exchanges(outputs: Path) -> Iterator[dict[str, str]]:
    """Yield what each side replies to the first cue of each play, and what the play has; of seed 0, unchosen."""
    replies = {method: _replies(outputs, method) for method in SIDES}
    seen = set()
    for name, line in replies["none"].items():
        play = name.partition("/")[0]
        if play not in seen and all(name in of_method for of_method in replies.values()):
            seen.add(play)
            said = {heading: replies[method][name]["prediction"] for method, heading in SIDES.items()}
            yield {"id": name, "cue": _cue(line["prompt"]), **said, "the play": line["reference"]}


def _replies(outputs: Path, method: str) -> dict[str, Mapping[str, Any]]:
    """Return the lines that a method's run with seed 0 replied to, by id, in the order of the data."""
    for record in sorted(outputs.glob("runs/*/run.json")):
        config = json.loads(record.read_text(encoding="utf-8"))["config"]
        if config["peft"]["method"] == method and config.get("seed") in (0, None):
            (samples,) = record.parent.glob("evaluations/*.samples.jsonl")
            lines = map(json.loads, samples.read_text(encoding="utf-8").splitlines())
            return {line["id"]: line for line in lines if line.get("prediction") is not None}
    return {}


def _cue(prompt: str) -> str:
    """Return what is said before the reply: the user's message, without the model's template."""
    return prompt.rpartition("<|im_start|>user\n")[2].partition("<|im_end|>")[0].strip()


def exchange_table(found: Sequence[Mapping[str, str]]) -> str:
    """Return exchanges side by side as a table in Markdown; a longer text is cut."""
    headings = ["cue", *SIDES.values(), "the play"]
    rows = [headings, ["---"] * len(headings), *([cell(_short(one[name])) for name in headings] for one in found)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST].rsplit(' ', 1)[0]} …"


def _characters(folder: Path, form: str) -> str:
    command = [sys.executable, "-m", "analysis", "characters", "--sweep", "demo", "--format", form]
    command += ["--output-dir", str(folder / "multirun_outputs")]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration, keep its table, and put it into README."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "README.md", metavar="FILE")
    parser.add_argument("overrides", nargs="*", help="of the demonstration, such as model.scale=tiny to try this out")
    options = parser.parse_intermixed_args(argv)
    with tempfile.TemporaryDirectory() as name:
        kept = {"created": now(), **environment(), **measure(Path(name), options.overrides)}
    write_json(options.results / RESULT, kept)
    shown = "\n".join(kept["table"]) + "\n\n" + exchange_table(kept["exchanges"])
    rewrite_between(options.page, BEGIN, END, shown)
    print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
