"""The evaluation of a run on disk, and what has come of a run and its evaluation together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from persona_sweeps.records.files import read_json
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.identity import RUN_SCHEMA
from persona_sweeps.records.run import read_record


def read_evaluation(folder: RunFolder, evaluation_id: str) -> dict[str, Any] | None:
    """Return an evaluation, a failed one too; None when there is none that can be read and has the parts of one."""
    found = read_json(folder.evaluation(evaluation_id))
    return found if found is not None and _is_evaluation(found, evaluation_id) else None


def is_evaluated(folder: RunFolder, evaluation_id: str) -> bool:
    """Whether the evaluation is there, with its samples, and didn't fail."""
    found = read_evaluation(folder, evaluation_id)
    return found is not None and found["failure"] is None and folder.samples(evaluation_id).is_file()


def _is_evaluation(value: Mapping[str, Any], evaluation_id: str) -> bool:
    parts = all(isinstance(value.get(part), dict) for part in ("metrics", "descriptions", "provenance"))
    same = value.get("schema_version") == RUN_SCHEMA and value.get("evaluation_id") == evaluation_id
    return same and parts and "failure" in value


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has come of a run and one of its evaluations.

    `status` is completed (evaluated), failed, pruned, running, trained (the evaluation is missing) or planned.
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
    """Return what has come of a run and an evaluation, as their files say."""
    run, evaluation = read_record(folder) or {}, read_evaluation(folder, evaluation_id) or {}
    if evaluation:
        status = "failed" if evaluation["failure"] else "completed"
    else:
        status = {"completed": "trained"}.get(run.get("status", "planned"), run.get("status", "planned"))
    return Outcome(status, run, evaluation)
