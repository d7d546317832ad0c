"""The same trials as a user starts them: one `launch.py -m` for all, or one `launch.py` for each."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.measurement import Measurement
from persona_sweeps.errors import UserError

ROOT = Path(__file__).resolve().parents[1]

EVALUATION = ("metrics=likelihood", "dataset.eval_limit=8")
"""what every trial is judged by, so that the commands end as a user's do, in a record"""

Commands = Callable[[int], list[list[str]]]
"""the arguments of each command, given the number of trials"""


def _sweep(trials: int) -> list[list[str]]:
    return [["-m", f"seed=range({trials})", "sweep.name=bench"]]


def _single_runs(trials: int) -> list[list[str]]:
    return [[f"seed={seed}"] for seed in range(trials)]


COMMANDS: dict[str, Commands] = {"sweep": _sweep, "single-runs": _single_runs}
"""contestants that are commands, by name"""


def run_commands(
    contestant: str, examples: int, trials: int, overrides: Sequence[str], environment: Mapping[str, str]
) -> Measurement:
    """Run a contestant's commands in a fresh output folder; return their measurement from start to end.

    Raises UserError when one fails.
    """
    threads = int(environment.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    with tempfile.TemporaryDirectory() as folder:
        shared = [*overrides, *EVALUATION, f"dataset.limit={examples}", f"output_dir={folder}"]
        cpu, wall = children_seconds(), time.perf_counter()
        for arguments in COMMANDS[contestant](trials):
            _launch([*arguments, *(override for override in shared if not _set_by(arguments, override))], environment)
        measurement = Measurement(children_seconds() - cpu, time.perf_counter() - wall, threads=threads)
        for record in sorted(Path(folder).glob("runs/*/run.json"), key=_seed):
            _add(measurement, record)
    return measurement


def _set_by(arguments: Sequence[str], override: str) -> bool:
    """Whether a command sets this key itself."""
    key = override.partition("=")[0]
    return any(argument.partition("=")[0] == key for argument in arguments)


def _launch(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    command = [sys.executable, str(ROOT / "launch.py"), *arguments]
    child = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if child.returncode != 0:
        tail = "\n".join((child.stdout + child.stderr).splitlines()[-20:])
        raise UserError(f"launch.py {' '.join(arguments)} ended with exit code {child.returncode}:\n{tail}")


def children_seconds() -> float:
    """Return the CPU seconds of all finished child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _seed(record: Path) -> int:
    return int(json.loads(record.read_text(encoding="utf-8"))["provenance"]["seed"])


def _add(measurement: Measurement, record: Path) -> None:
    training = json.loads(record.read_text(encoding="utf-8"))["training"]
    history = (record.parent / "history.jsonl").read_text(encoding="utf-8").splitlines()
    measurement.steps += training["steps"]
    measurement.token_slots += training["unique_tokens"]
    measurement.losses.append([json.loads(line)["train_nll"] for line in history])
