"""The command `python -m benchmarks.gpu`: measures this machine's GPU, and writes the results as it goes."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from persona_sweeps.device import cuda_capability
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

ROOT = Path(__file__).resolve().parents[2]
OPTIONAL = {"trl": "TRL, to compare with", "bitsandbytes": "bitsandbytes, for nf4", "pytest": "pytest, for the tests"}
Row = tuple[str, Callable[[], dict[str, Any]]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments and return its exit code: 1 if a part failed."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.device == "cuda" and cuda_capability() is None:
        parser.error("there is no GPU here: --device cpu --model-scale tiny rehearses it.")
    return Session(options).run()


class Session:
    """One run of the benchmark: its parts, their results so far, and the time left."""

    def __init__(self, options: argparse.Namespace) -> None:
        from benchmarks.gpu.device import description

        self.device, self.tiny, self.file = options.device, options.model_scale == "tiny", options.out
        self.page: Path | None = options.page
        self.only: list[str] = options.part or list(PARTS)
        self.wanted: str = options.match
        self.end = time.monotonic() + 60 * options.minutes
        self.failed = False
        known = environment()
        self.result: dict[str, Any] = {
            "created": now(),
            "device": description(self.device),
            "packages": known["packages"],
            "git_commit": known["git_commit"],
            "missing": [text for name, text in OPTIONAL.items() if importlib.util.find_spec(name) is None],
            "parts": {},
            "failed": {},
            "left_out": [],
        }

    def run(self) -> int:
        for missing in self.result["missing"]:
            print(f"Missing here: {missing}.", flush=True)
        for name in self.only:
            found: list[dict[str, Any]] = self.result["parts"].setdefault(name, [])
            for title, measure in PARTS[name](self):
                if self.wanted in title:
                    self._measure(f"{name}: {title}", measure, found)
        print(f"Wrote {self.file}")
        if self.page is not None:
            from benchmarks.gpu.page import rewrite

            rewrite(self.page, self.file)
            print(f"Wrote {self.page}")
        return int(self.failed)

    def _measure(self, title: str, measure: Callable[[], dict[str, Any]], found: list[dict[str, Any]]) -> None:
        if time.monotonic() > self.end:
            self.result["left_out"].append(title)
            print(f"{title}: no time left", flush=True)
        else:
            start = time.monotonic()
            try:
                row = measure()
                found.append(row)
                shown = {key: value for key, value in row.items() if isinstance(value, int | float)}
                print(f"{title}: {_plain(shown)} ({time.monotonic() - start:.0f} s)", flush=True)
            except Exception as error:  # the other rows are worth having
                self.failed = True
                self.result["failed"][title] = "".join(traceback.format_exception(error)[-6:])
                print(f"{title}: failed: {type(error).__name__}: {str(error)[:300]}", flush=True)
            _free()
        write_json(self.file, self.result)

    @property
    def matrix_tflops(self) -> float:
        """The rate of a large matrix product, measured first."""
        from benchmarks.gpu.device import ceilings

        if "ceilings" not in self.result:
            self.result["ceilings"] = ceilings(self.device)
            print(f"ceilings: {_plain(self.result['ceilings'])}", flush=True)
            _free()
        return float(self.result["ceilings"]["matrix_tflops"])


def _training(session: Session) -> Iterator[Row]:
    from benchmarks.gpu.training import rows

    return rows(session.device, session.tiny, session.matrix_tflops)


def _generation(session: Session) -> Iterator[Row]:
    from benchmarks.gpu.generation import rows

    return rows(session.device, session.tiny)


def _profile(session: Session) -> Iterator[Row]:
    from benchmarks.gpu.profile import rows

    return rows(session.device, session.tiny)


def _tests(session: Session) -> Iterator[Row]:
    yield "equalities", lambda: _pytest(session)


def _pytest(session: Session) -> dict[str, Any]:
    """Run the tests marked gpu; they decide by themselves on which device."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "gpu",
        "-p",
        "no:cacheprovider",
        "--tb=short",
        "-rfEs",
        "tests/gpu",
    ]
    seconds = max(30.0, session.end - time.monotonic())
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    print(done.stdout[-9000:], flush=True)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-3000:]}")
    return {"summary": done.stdout.strip().splitlines()[-1]}


PARTS: dict[str, Callable[[Session], Iterator[Row]]] = {
    "tests": _tests,
    "training": _training,
    "generation": _generation,
    "profile": _profile,
}
"""what is measured, by name"""


def _free() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _plain(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value:.4g}" for key, value in values.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description="Measure training, generation and their equality with the CPU on a GPU, with random weights.",
        epilog="It needs torch, transformers, peft and hydra-core; what else is missing is named, and left out.",
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--model-scale", choices=["full", "tiny"], default="full", help="tiny rehearses it anywhere")
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this one (may be given again)")
    parser.add_argument("--match", default="", metavar="TEXT", help="only rows whose title has this text")
    parser.add_argument("--minutes", type=float, default=8.0, help="after which no further row is begun (8)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.json", metavar="FILE")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a page whose tables are made again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
