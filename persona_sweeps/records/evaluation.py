"""Read the evaluation of a run from disk, and the outcome of a run with its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from persona_sweeps.records.files import read_json
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.identity import RUN_SCHEMA
from persona_sweeps.records.run import read_record


def read_evaluation(folder: RunFolder, evaluation_id: str) -> dict[str, Any] | None:
    """Return an evaluation, even a failed one; None if it is missing, unreadable or incomplete."""
    record = read_json(folder.evaluation(evaluation_id))
    return record if record is not None and _is_evaluation(record, evaluation_id) else None


def is_evaluated(folder: RunFolder, evaluation_id: str) -> bool:
    """Return whether the evaluation exists, with its samples, and didn't fail."""
    record = read_evaluation(folder, evaluation_id)
    return record is not None and record["failure"] is None and folder.samples(evaluation_id).is_file()


def _is_evaluation(value: Mapping[str, Any], evaluation_id: str) -> bool:
    parts = all(isinstance(value.get(part), dict) for part in ("metrics", "descriptions", "provenance"))
    same = value.get("schema_version") == RUN_SCHEMA and value.get("evaluation_id") == evaluation_id
    return same and parts and "failure" in value


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state of a run and of one of its evaluations.

    `status` is completed (evaluated), failed, pruned, running, trained (but not evaluated) or planned.
    """

    status: str
    run: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.evaluation.get("metrics") or {}

    @property
    def descriptions(self) -> Mapping[str, Mapping[str, Any]]:
        return self.evaluation.get("descriptions") or {}

    @property
    def reason(self) -> str:
        """Why it failed or was pruned."""
        failure = self.evaluation.get("failure") or self.run.get("failure") or {}
        return str(failure.get("message") or (self.run.get("training") or {}).get("pruned") or "")

    @property
    def has_ended(self) -> bool:
        return self.status in ("completed", "failed", "pruned")


def outcome(folder: RunFolder, evaluation_id: str) -> Outcome:
    """Return the state of a run and an evaluation, read from their files."""
    run, evaluation = read_record(folder) or {}, read_evaluation(folder, evaluation_id) or {}
    if evaluation:
        status = "failed" if evaluation["failure"] else "completed"
    else:
        status = {"completed": "trained"}.get(run.get("status", "planned"), run.get("status", "planned"))
    return Outcome(status, run, evaluation)
