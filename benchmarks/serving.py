"""`python -m benchmarks.serving`: many clients of `persona-sweeps serve` at a time, against one request after another.

Two adapters of the embedded model and their base answer the same requests, each of a fixed number of tokens. Both
orders run on one server, in turns, and answers must be the same texts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from persona_sweeps.errors import UserError
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

BEGIN, END = "<!-- serving:begin -->", "<!-- serving:end -->"
RESULT = "serving.json"
TRAINED = (
    "-m", "sweep.name=served", "peft=lora", "seed=0,1", "train.max_steps=4", "dataset.persona=Falstaff",
    "dataset.play=all", "dataset.card=short", "dataset.limit=64", "train.max_length=256", "dataset.eval_limit=8",
    "metrics=likelihood",
)  # fmt: skip
TOKENS = 32
"""of each answer"""


class Server:
    """`persona-sweeps serve` for the runs in a folder, as a context manager."""

    def __init__(self, folder: Path, names: Sequence[str], at_a_time: int) -> None:
        where = ["--output-dir", str(folder), "--port", "0", "--side-by-side", str(at_a_time)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "persona_sweeps", "serve", *names, *where],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        said = next((line for line in self.process.stdout if line.startswith("Talk with them at ")), "")
        if not said:
            raise UserError("The server didn't start.")
        self.address = said.split()[4]
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait()

    def ask(self, model: str, message: str) -> tuple[str, int]:
        """Return the answer, and how many tokens it has."""
        messages = [{"role": "user", "content": message}]
        body = {"model": model, "temperature": 0, "max_tokens": TOKENS, "messages": messages}
        headers = {"content-type": "application/json"}
        request = Request(f"{self.address}/v1/chat/completions", json.dumps(body).encode(), headers)
        with urlopen(request) as response:
            found = json.load(response)
        return found["choices"][0]["message"]["content"], found["usage"]["completion_tokens"]

    def cpu_seconds(self) -> float:
        """Return what the process has computed so far (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


def measure(folder: Path, requests: int, at_a_time: int, rounds: int, more: Sequence[str]) -> dict[str, Any]:
    """Train two adapters, and ask them and their base. Raises `UserError` if an answer depends on company."""
    command = [sys.executable, str(ROOT / "launch.py"), *TRAINED, f"output_dir={folder}", *more]
    if subprocess.run(command, cwd=folder).returncode:
        raise UserError(f"{' '.join(command[2:])} failed.")
    names = sorted(path.name for path in (folder / "runs").iterdir())
    asked = [([*names, "base"][n % 3], f"What say you to this, good sir? ({n})") for n in range(requests)]
    found: list[dict[str, Any]] = []
    with Server(folder, names, at_a_time) as server:
        server.ask("base", "Warm up.")
        texts = None
        for clients in [1, at_a_time] * rounds:
            begun, cpu = time.monotonic(), server.cpu_seconds()
            with ThreadPoolExecutor(clients) as pool:
                answers = list(pool.map(lambda one: server.ask(*one), asked))
            tokens = sum(count for _, count in answers)
            seconds, cpu = time.monotonic() - begun, server.cpu_seconds() - cpu
            found.append({"clients": clients, "tokens": tokens, "seconds": seconds, "cpu_seconds": cpu})
            texts = texts or [text for text, _ in answers]
            if texts != [text for text, _ in answers]:
                raise UserError("An answer depends on the others that were asked for at the same time.")
    return {"models": len(names) + 1, "requests": requests, "rounds": found}


def render(kept: Mapping[str, Any]) -> str:
    """Return the medians as a Markdown table."""
    what = f"{kept['requests']} requests to {kept['models']} models, by clients at a time"
    lines = [f"| {what} | tokens a CPU s | tokens a s |", "| --- | ---: | ---: |"]
    for clients in sorted({one["clients"] for one in kept["rounds"]}):
        of = [one for one in kept["rounds"] if one["clients"] == clients]
        rates = [statistics.median(one["tokens"] / one[key] for one in of) for key in ("cpu_seconds", "seconds")]
        lines.append(f"| {clients} | {rates[0]:.1f} | {rates[1]:.1f} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, keep the figures, and put them into docs/after.md."""
    summary = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=summary)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "after.md", metavar="FILE")
    parser.add_argument("--requests", type=int, default=48, metavar="N")
    parser.add_argument("--at-a-time", type=int, default=16, metavar="N")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="times that both orders are measured")
    parser.add_argument("overrides", nargs="*", help="of the runs, such as model.scale=tiny to try this out")
    options = parser.parse_intermixed_args(argv)
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), options.requests, options.at_a_time, options.rounds, options.overrides)
    kept = {"created": now(), **environment(), **found}
    write_json(options.results / RESULT, kept)
    rewrite_between(options.page, BEGIN, END, render(kept))
    print(render(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
