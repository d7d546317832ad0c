"""One contestant in a process of its own: `python -m benchmarks.child CONTESTANT EXAMPLES TRIALS FILE OVERRIDE…`.

It trains one step to warm up and then, on a newly loaded base model, the workload. FILE gets the measurement as JSON,
or {"error": …} after a user's mistake.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.contestants import CONTESTANTS
from benchmarks.measurement import Measurement
from benchmarks.workload import load_workload
from persona_sweeps.errors import UserError


def measure(contestant: str, examples: int, trials: int, overrides: Sequence[str]) -> Measurement:
    """Warm up, then train; return the measurement."""
    train = CONTESTANTS[contestant]
    workload = load_workload(overrides, examples, trials)
    train(workload.one_step(), workload.load_base())
    return train(workload, workload.load_base())


def main(argv: Sequence[str]) -> None:
    contestant, examples, trials, file, *overrides = argv
    try:
        answer = asdict(measure(contestant, int(examples), int(trials), overrides))
    except UserError as error:
        answer = {"error": str(error)}
    Path(file).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
