"""Rounds of a scenario: every contestant in turn, each in a process of its own, and the check that they agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import COMMANDS, run_commands
from benchmarks.measurement import Measurement
from benchmarks.scenarios import COMMON, TITLES, Scenario
from persona_sweeps.config.schema import Precision, Scale
from persona_sweeps.errors import UserError

ROOT = Path(__file__).resolve().parents[1]

TOLERANCES = {Precision.fp32: 1e-4, Precision.bf16: 2e-2}
"""largest relative difference of two first-step losses on the same batch; bf16 has three significant digits, and the
contestants round at different points"""

TINY_MAX_LENGTH = 2048
"""tokens that the tiny twin can attend over; its tokenizer makes more tokens of a text than the real one"""

Round = dict[str, Measurement]
"""what each contestant of a scenario took"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line decides; `precision` is resolved."""

    precision: Precision
    rounds: int
    examples: int
    scale: Scale
    threads: int


def run_rounds(scenario: Scenario, settings: Settings) -> list[Round]:
    """Measure every contestant in every round. Raises UserError when one fails or two don't agree."""
    rounds: list[Round] = []
    for number in range(settings.rounds):
        measured: Round = {}
        for contestant in _turns(scenario.contestants, number):
            measured[contestant] = measurement = _in_own_process(scenario, contestant, settings)
            print(f"  round {number + 1}/{settings.rounds}  {_line(contestant, measurement)}", flush=True)
        require_equal_losses(scenario, measured, settings.precision)
        rounds.append({contestant: measured[contestant] for contestant in scenario.contestants})
    return rounds


def overrides(scenario: Scenario, settings: Settings) -> list[str]:
    """Return the overrides of conf/ that make the scenario's workload."""
    chosen = [*COMMON, *scenario.overrides, f"train.precision={settings.precision.value}"]
    if settings.scale is Scale.tiny:
        chosen += [f"model.scale={settings.scale.value}", f"train.max_length={TINY_MAX_LENGTH}"]
    return chosen


def require_equal_losses(scenario: Scenario, measured: Round, precision: Precision) -> None:
    """Raise UserError when contestants that saw the same first batch have first-step losses that differ."""
    yardstick = scenario.contestants[0]
    for contestant in scenario.contestants:
        if contestant not in scenario.same_batches:
            continue
        difference = loss_difference(measured[contestant], measured[yardstick])
        if not difference <= TOLERANCES[precision]:  # a NaN differs as well
            raise UserError(
                f"{scenario.name}: the first-step losses of {contestant} and {yardstick} differ by {difference:.1e} "
                f"where {TOLERANCES[precision]:.0e} is allowed in {precision.value}, so they don't do the same work "
                "and nothing is written."
            )


def loss_difference(one: Measurement, other: Measurement) -> float:
    """Return the largest relative difference of the first-step losses, over trials."""
    pairs = zip(one.first_losses, other.first_losses, strict=True)
    return max(abs(a - b) / abs(b) if a == a and b == b else float("nan") for a, b in pairs)


def _turns(contestants: Sequence[str], number: int) -> list[str]:
    """Return the contestants in the order of a round; each round begins with another one, since machines slow down."""
    start = number % len(contestants)
    return [*contestants[start:], *contestants[:start]]


def _in_own_process(scenario: Scenario, contestant: str, settings: Settings) -> Measurement:
    """Return the measurement of a child process, which no thread, cache or memory of another contestant affects."""
    threads = str(settings.threads)
    environment = os.environ | {
        "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false",
        "OMP_WAIT_POLICY": "PASSIVE",  # as launch.py sets it; spinning threads would count as work
    }  # fmt: skip
    if contestant in COMMANDS:
        chosen = overrides(scenario, settings)
        return run_commands(contestant, settings.examples, scenario.trials, chosen, environment)
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "measurement.json"
        numbers = [str(settings.examples), str(scenario.trials)]
        command = [sys.executable, "-m", "benchmarks.child", contestant, *numbers, str(answer)]
        child = subprocess.run(
            [*command, *overrides(scenario, settings)], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        if child.returncode != 0 or not answer.is_file():
            tail = "\n".join(child.stderr.splitlines()[-20:])
            raise UserError(f"{scenario.name}: {contestant} ended with exit code {child.returncode}:\n{tail}")
        values = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in values:
        raise UserError(f"{scenario.name}: {values['error']}")
    return Measurement(**values)


def _line(contestant: str, measurement: Measurement) -> str:
    losses = measurement.first_losses
    first = f"first-step loss {losses[0]:.6f}" if len(losses) == 1 else f"first-step losses {_listed(losses)}"
    return f"{TITLES[contestant]:<40} {measurement.cpu_seconds:8.2f} CPU s  {measurement.steps} steps  {first}"


def _listed(losses: Sequence[float]) -> str:
    return " ".join(f"{loss:.4f}" for loss in losses)
