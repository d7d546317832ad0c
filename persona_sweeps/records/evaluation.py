"""The evaluation of a run on disk, and what has come of a run and its evaluation together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from persona_sweeps.records.files import aside, json_lines, read_json, write_json, write_text
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.identity import RUN_SCHEMA
from persona_sweeps.records.run import read_record


def read_evaluation(folder: RunFolder, evaluation_id: str) -> dict[str, Any] | None:
    """Return an evaluation, a failed one too; None when there is none that can be read and has the parts of one."""
    found = read_json(folder.evaluation(evaluation_id))
    return found if found is not None and _is_evaluation(found, evaluation_id) else None


def is_evaluated(folder: RunFolder, evaluation_id: str) -> bool:
    """Whether the evaluation is there, with all its samples, and didn't fail."""
    found = read_evaluation(folder, evaluation_id)
    return found is not None and found["failure"] is None and _has_samples(folder, evaluation_id, found)


def write_evaluation(
    folder: RunFolder, evaluation_id: str, record: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]
) -> None:
    """Write the samples, then the record, which says how many bytes they have. Raises OSError."""
    text = json_lines(samples)
    write_text(folder.samples(evaluation_id), text)
    vouched = {"samples": {"items": len(samples), "bytes": len(text.encode())}}
    write_json(folder.evaluation(evaluation_id), {**record, **vouched})


def set_aside_broken(folder: RunFolder) -> list[str]:
    """Rename evaluations that can't be read or lack samples, so that they are made anew; return a sentence for each."""
    sentences = []
    for path in sorted(folder.evaluations.glob("*.json")):
        found, samples = read_evaluation(folder, path.stem), folder.samples(path.stem)
        if found is not None and (found["failure"] is not None or _has_samples(folder, path.stem, found)):
            continue
        if found is not None and samples.exists():
            aside(samples)
        sentences.append(f"{path} isn't what was written; it was set aside as {aside(path).name} and is made anew.")
    return sentences


def _has_samples(folder: RunFolder, evaluation_id: str, record: Mapping[str, Any]) -> bool:
    """Whether the samples are there as they were written, by their size: there are too many to read them all."""
    try:
        return folder.samples(evaluation_id).stat().st_size == record["samples"]["bytes"]
    except (OSError, KeyError, TypeError):
        return False


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
