"""Read the evaluation of a run from disk, and the outcome of a run with its evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from persona_sweeps.records.files import read_json, set_aside, write_json, write_json_lines
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.identity import RUN_SCHEMA
from persona_sweeps.records.run import read_record
from persona_sweeps.records.seals import is_unchanged, seal


def read_evaluation(folder: RunFolder, evaluation_id: str) -> dict[str, Any] | None:
    """Return an evaluation, even a failed one; None if it is missing, unreadable or incomplete."""
    record = read_json(folder.evaluation(evaluation_id))
    return record if record is not None and _is_evaluation(record, evaluation_id) else None


def is_evaluated(folder: RunFolder, evaluation_id: str) -> bool:
    """Return whether the evaluation exists, with all its samples, and didn't fail."""
    record = read_evaluation(folder, evaluation_id)
    return record is not None and record["failure"] is None and _has_samples(folder, evaluation_id, record)


def write_evaluation(
    folder: RunFolder, evaluation_id: str, record: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]
) -> None:
    """Write the samples, then the record, which holds their number and size. Raises OSError."""
    path = folder.samples(evaluation_id)
    write_json_lines(path, samples)
    write_json(folder.evaluation(evaluation_id), {**record, "samples": {"items": len(samples), **seal(path)}})


def set_aside_broken(folder: RunFolder) -> list[str]:
    """Rename evaluations that are unreadable or lack samples, so that they are made again; return messages."""
    sentences = []
    for path in sorted(folder.evaluations.glob("*.json")):
        record, samples = read_evaluation(folder, path.stem), folder.samples(path.stem)
        if record is not None and (record["failure"] is not None or _has_samples(folder, path.stem, record)):
            continue
        if record is not None and samples.exists():
            set_aside(samples)
        sentences.append(
            f"{path} has changed since it was written; it was set aside as {set_aside(path).name} and is made again."
        )
    return sentences


def _has_samples(folder: RunFolder, evaluation_id: str, record: Mapping[str, Any]) -> bool:
    """Return whether the samples exist and are as they were written."""
    recorded = record.get("samples")
    return isinstance(recorded, Mapping) and is_unchanged(folder.samples(evaluation_id), recorded)


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
    def is_finished(self) -> bool:
        return self.status in ("completed", "failed", "pruned")


def outcome(folder: RunFolder, evaluation_id: str) -> Outcome:
    """Return the state of a run and an evaluation, read from their files."""
    run, evaluation = read_record(folder) or {}, read_evaluation(folder, evaluation_id) or {}
    if evaluation:
        status = "failed" if evaluation["failure"] else "completed"
    else:
        status = {"completed": "trained"}.get(run.get("status", "planned"), run.get("status", "planned"))
    return Outcome(status, run, evaluation)
