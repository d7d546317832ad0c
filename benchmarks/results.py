"""Results as files, one a scenario, precision and number of threads, and the numbers that are read off them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measurement import Measurement
from benchmarks.rounds import Round, Settings, overrides
from benchmarks.scenarios import SCENARIOS, Scenario
from persona_sweeps.config.schema import Precision
from persona_sweeps.errors import UserError
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

SCHEMA_VERSION = 1
PACKAGES = ("trl", "accelerate")
"""whose versions count here, beside those that a run record names"""


@dataclass(frozen=True, slots=True)
class Result:
    """All rounds of one scenario in one precision, and where they were measured."""

    scenario: Scenario
    precision: Precision
    examples: int
    created: str
    host_cpu: str
    threads: int
    packages: dict[str, str]
    rounds: list[Round]

    def cpu_seconds(self, contestant: str) -> float:
        """Return the median over rounds."""
        return statistics.median(measured[contestant].cpu_seconds for measured in self.rounds)

    def ratios(self, contestant: str) -> list[float]:
        """Return, for each round, CPU seconds as a multiple of the yardstick's in the same round."""
        yardstick = self.scenario.contestants[0]
        return [measured[contestant].cpu_seconds / measured[yardstick].cpu_seconds for measured in self.rounds]


def make_result(scenario: Scenario, settings: Settings, rounds: Sequence[Round]) -> Result:
    """Return rounds with what must be known about the machine and the packages."""
    known = environment()
    packages = known["packages"] | {name: version(name) for name in PACKAGES}
    return Result(
        scenario, settings.precision, settings.examples, now(), known["host_cpu"], settings.threads, packages,
        list(rounds),
    )  # fmt: skip


def save(result: Result, settings: Settings, folder: Path) -> Path:
    """Write a result, whole or not at all; return its path."""
    path = folder / f"{result.scenario.name}-{result.precision.value}-{result.threads}.json"
    facts = {
        "schema_version": SCHEMA_VERSION,
        "scenario": result.scenario.name,
        "precision": result.precision.value,
        "examples": result.examples,
        "overrides": overrides(result.scenario, settings),
        "created": result.created,
        "host_cpu": result.host_cpu,
        "threads": result.threads,
        "packages": result.packages,
        "rounds": [{name: asdict(measured) for name, measured in row.items()} for row in result.rounds],
    }
    write_json(path, facts)
    return path


def read_all(folder: Path) -> Iterator[Result]:
    """Yield the results of a folder in the order of the page. Raises UserError for a file that can't be read."""
    for scenario in SCENARIOS.values():
        for precision in (Precision.fp32, Precision.bf16):
            for path in sorted(folder.glob(f"{scenario.name}-{precision.value}-*.json")):
                yield _read(path, scenario, precision)


def _read(path: Path, scenario: Scenario, precision: Precision) -> Result:
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if facts["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {facts['schema_version']}, not {SCHEMA_VERSION}")
        rounds = [{name: Measurement(**row[name]) for name in scenario.contestants} for row in facts["rounds"]]
        examples, created, host_cpu, threads, packages = (
            facts[name] for name in ("examples", "created", "host_cpu", "threads", "packages")
        )
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{path.name} isn't a result of this program ({problem}): measure it again.") from error
    return Result(scenario, precision, examples, created, host_cpu, threads, packages, rounds)
