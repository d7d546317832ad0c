"""The files of one run while it trains."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from omegaconf import OmegaConf

from persona_sweeps.lifecycle.lease import Lease
from persona_sweeps.planning.cells import Cell
from persona_sweeps.records.files import finite, write_json, write_text
from persona_sweeps.records.folders import HYDRA_FILES
from persona_sweeps.records.identity import RUN_SCHEMA
from persona_sweeps.records.provenance import environment, now
from persona_sweeps.records.redaction import redacted
from persona_sweeps.records.run import read_record, sealed_files
from persona_sweeps.records.seals import Seal

TRACEBACK_LINES = 12
OF_EVALUATION = ("generation", "metrics")
"""groups of the config that control how a run is evaluated; its evaluations record them"""


@dataclass
class RunOutcome:
    """The results of a training for its record."""

    training: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    files: dict[str, Seal] = field(default_factory=dict)


class RunWriter:
    """Writes a run's files: first a record that says `running`, in the end a completed, failed or pruned one."""

    def __init__(self, cell: Cell, lease: Lease | None = None, after: int | None = 0) -> None:
        """Open the files of a run whose `lease` this process has, and which resumes after so many steps.

        With `after=None` no training begins: the writer only writes the run's final record.
        """
        self.cell = cell
        self._lease = lease
        self.folder = cell.folder
        self.outcome = RunOutcome()
        self.status = "running"
        self.failure: dict[str, str] | None = None
        self._lost_lines = 0
        earlier = read_record(self.folder) if after != 0 else None
        self._created = earlier["provenance"]["created"] if earlier is not None else now()
        self._started = time.perf_counter()
        self.folder.path.mkdir(parents=True, exist_ok=True)
        self._write_hydra()
        if after is not None:
            self._cut_history(after)
        self._history: IO[str] = open(self.folder.history, "a", encoding="utf-8")  # noqa: SIM115 - closed by close
        self._log: IO[str] = open(self.folder.log, "a", encoding="utf-8")  # noqa: SIM115
        if after is None:
            return
        self._write_record()
        started = f"goes on after step {after}" if after else "started"
        self.say(f"run {cell.run_id} {started}: {' '.join(cell.overrides) or 'no overrides'}")

    def say(self, message: str) -> None:
        """Add a line to the run's log."""
        self._append(self._log, f"{now()} {redacted(message)}\n")

    def log(self, values: Mapping[str, float]) -> None:
        """Add a step to the history, in which a value that isn't finite becomes null."""
        self._append(self._history, json.dumps({key: _json_number(value) for key, value in values.items()}) + "\n")

    def check(self) -> None:
        """Raise LeaseLost if another process has taken the run meanwhile, OSError if that can't be determined."""
        if self._lease is not None:
            self._lease.check()

    def secure(self) -> None:
        """Flush the history to the disk, before a checkpoint of the same step is written. Raises as `check` does."""
        self.check()
        os.fsync(self._history.fileno())

    def complete(self) -> None:
        """Write the completed record, after the adapter is saved. The log stays open."""
        self.outcome.files = sealed_files(self.folder)
        self._write_final("completed")

    def fail(self, error: BaseException) -> None:
        """Write a failed record with the reason."""
        self.failure = failure_of(error)
        self._write_final("failed")
        self.close()

    def prune(self, reason: str) -> None:
        """Write the record of a run that was stopped early, with the reason."""
        self.outcome.training["pruned"] = reason
        self._write_final("pruned")
        self.close()

    def close(self) -> None:
        """Close the files; the record of an interrupted run still says `running`."""
        for file in (self._history, self._log):
            with contextlib.suppress(OSError):
                file.close()

    def _write_final(self, status: str) -> None:
        """Write the final record. Raises LeaseLost if another process has taken the run meanwhile."""
        self.check()
        self.status = status
        self.outcome.resources.setdefault("wall_seconds", time.perf_counter() - self._started)
        self.say(f"{status}{': ' + self.failure['message'] if self.failure else ''}")
        self._write_record()

    def _append(self, file: IO[str], line: str) -> None:
        """Add a line. If the disk is full, the line is lost and counted, and the run goes on."""
        try:
            file.write(line)
            file.flush()
        except (OSError, ValueError):
            self._lost_lines += 1

    def _cut_history(self, after: int) -> None:
        """Keep an earlier history up to the checkpoint from which the run resumes, and nothing if it starts anew."""
        lines = _lines(self.folder.history) if after else []
        kept = [line for line in lines if (step := _step_of(line)) is not None and step <= after]
        write_text(self.folder.history, "".join(f"{line}\n" for line in kept))

    def _write_hydra(self) -> None:
        contents = (self.cell.resolved, list(self.cell.overrides), {"hydra": self.cell.hydra})
        for name, content in zip(HYDRA_FILES, contents, strict=True):
            write_text(self.folder.hydra / name, OmegaConf.to_yaml(OmegaConf.create(redacted(content))))

    def _write_record(self) -> None:
        outcome, cell = self.outcome, self.cell
        record = {
            "schema_version": RUN_SCHEMA,
            "run_id": cell.run_id,
            "setting_key": cell.setting_key,
            "name": cell.name,
            "status": self.status,
            "config": recorded_config(cell),
            "predictor": cell.config.peft.facts(),
            "training": outcome.training,
            "data": outcome.data,
            "resources": outcome.resources | ({"lost_log_lines": self._lost_lines} if self._lost_lines else {}),
            "provenance": {
                "created": self._created,
                "finished": None if self.status == "running" else now(),
                **environment(),
                **outcome.fingerprints,
                "seed": cell.config.seed if cell.config.peft.uses_seed else None,
                **({"files": outcome.files} if outcome.files else {}),
                **({"study": cell.study} if cell.study is not None else {}),
            },
            "failure": self.failure,
        }
        write_json(self.folder.record, finite(record))


def recorded_config(cell: Cell) -> dict[str, Any]:
    """Return a run's config for its record: without how it is evaluated; a group that can't matter is null."""
    peft = cell.config.peft
    config = {key: value for key, value in cell.resolved.items() if key not in OF_EVALUATION}
    if not peft.trains:
        config["train"] = {"precision": config["train"]["precision"]} if peft.has_model else None
    if not peft.has_model:
        config |= {"model": None, "quantization": None}
    if not peft.reads_training_data:
        config["dataset"] = None
    if not peft.uses_seed:
        config["seed"] = None
    return config


def failure_of(error: BaseException) -> dict[str, str]:
    """Return an error in the format of records."""
    tail = "".join(traceback.format_exception(error)).splitlines()[-TRACEBACK_LINES:]
    return redacted({"type": type(error).__name__, "message": str(error), "traceback_tail": "\n".join(tail)})


def torn_lines(history: Path) -> int:
    """Return how many lines of a history can't be read because a crash or a full disk cut them."""
    return sum(_step_of(line) is None for line in _lines(history))


def _lines(history: Path) -> list[str]:
    try:
        return history.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _step_of(line: str) -> int | None:
    """Return the step of a line of a history; None if the line is torn."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return None
    return step if isinstance(step, int) else None


def _json_number(value: float) -> float | None:
    return value if math.isfinite(value) else None
