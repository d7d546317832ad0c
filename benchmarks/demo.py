"""`python -m benchmarks.demo`: README's table, which is the leaderboard that `make demo` prints."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import children_seconds
from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

BEGIN, END = "<!-- demo:begin -->", "<!-- demo:end -->"
RESULT = "demo.json"


def measure(folder: Path, more: Sequence[str] = ()) -> dict[str, Any]:
    """Run the demonstration in a folder, with `more` overrides; return what it took, and its leaderboard."""
    before = children_seconds()
    subprocess.run([sys.executable, str(ROOT / "launch.py"), "-m", "experiment=demo", *more], cwd=folder, check=True)
    seconds = children_seconds() - before
    rows = json.loads(_leaderboard(folder, "json"))["tables"][0]["raw"]
    return {"cpu_seconds": seconds, "table": table(_leaderboard(folder, "md")).splitlines(), "rows": rows}


def table(page: str) -> str:
    """Return the first table of a page in Markdown."""
    lines = page.splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith("|"))
    end = next((index for index, line in enumerate(lines[begin:], begin) if not line.startswith("|")), len(lines))
    return "\n".join(lines[begin:end])


def _leaderboard(folder: Path, form: str) -> str:
    command = [sys.executable, "-m", "analysis", "leaderboard", "--sweep", "demo", "--format", form]
    command += ["--output-dir", str(folder / "multirun_outputs")]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration, keep its leaderboard, and put it into README."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "README.md", metavar="FILE")
    parser.add_argument("overrides", nargs="*", help="of the demonstration, such as model.scale=tiny to try this out")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        kept = {"created": now(), **environment(), **measure(Path(name), options.overrides)}
    write_json(options.results / RESULT, kept)
    rewrite_between(options.page, BEGIN, END, "\n".join(kept["table"]))
    print("\n".join(kept["table"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
