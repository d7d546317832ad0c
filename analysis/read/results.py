"""Read runs and their evaluations: one `RunResult` for each evaluation of a run, or for a run that has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from .files import Problem, SetAside, read_record

STATUSES = ("completed", "failed", "pruned", "running")
COMPLETED, FAILED, PRUNED, RUNNING = STATUSES
LARGEST = 1e300


@lru_cache(maxsize=4096)
def _keys(dotted: str) -> list[str]:
    return dotted.split(".")


@dataclass(frozen=True)
class RunResult:
    """A run with one of its evaluations; `evaluation_id` is None for a run alone.

    `raw` is run.json with the evaluation in it: `config` has the evaluation's groups (dataset, generation, metrics,
    seed, max_length) in place of the run's; `metrics`, `descriptions` and `comparability_key` are the evaluation's;
    what both have (data, resources, provenance, failure) is the run's, and the evaluation's stands under `evaluation`.
    `scored` and `personas` are the evaluation's, too. `status` is the run's, or `failed` where the evaluation failed.
    """

    run_id: str
    status: str
    folder: Path
    raw: Mapping[str, Any]
    evaluation_id: str | None = None
    evaluated_by: Mapping[str, str] = field(default_factory=dict)
    """metric → the evaluation that it is from, where several of a run were put together"""
    items: frozenset[str] | None = None
    """the ids of the items that its metrics are of, where those aren't all that it was evaluated on; the recorded
    metrics are `metrics_of_all_items` then"""

    def get(self, dotted: str, default: Any = None) -> Any:
        """Return the value at a dotted path (`config.peft.r`), or `default` where there is none."""
        value: Any = self.raw
        for key in _keys(dotted):
            if not isinstance(value, (dict, Mapping)) or key not in value:
                return default
            value = value[key]
        return value

    def number(self, dotted: str) -> float | None:
        """Return the number at a dotted path; None when it is absent, no number, NaN, or too large to compute with."""
        value = self.get(dotted)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            return None
        return None if isinstance(value, int) and abs(value) > LARGEST else value

    def part(self, name: str) -> Mapping[str, Any]:
        """Return a part of the record that is an object; an empty one for anything else."""
        value = self.get(name)
        return value if isinstance(value, Mapping) else {}

    @property
    def run_status(self) -> str:
        """The status of the run, whatever became of its evaluation."""
        return str(self.get("status"))

    @property
    def is_scored(self) -> bool:
        """Whether it can stand in a ranking: the run is completed, so is this evaluation, and a model has answered."""
        return self.status == COMPLETED and self.evaluation_id is not None and not self.has_random_weights

    @property
    def has_random_weights(self) -> bool:
        """Whether its model was made of random numbers, to measure speed and memory."""
        return self.get("config.model.weights") == "random"

    @property
    def key(self) -> str | None:
        """The comparability key; None without an evaluation."""
        found = self.get("comparability_key")
        return found if isinstance(found, str) else None

    @property
    def setting_key(self) -> str:
        return str(self.get("setting_key"))

    @property
    def seed(self) -> Any:
        """The seed that its answers depend on; None where no seed can change them."""
        return self.get("evaluation.provenance.seed" if self.evaluation_id else "provenance.seed")

    @property
    def diverged(self) -> bool:
        """Whether training or its result left the finite numbers, so that its setting is the worse for it."""
        failure = self.part("failure")
        by_message = failure.get("type") == "TrialError" and "was not a finite number" in str(failure.get("message"))
        return self.status == FAILED and (failure.get("type") == "Diverged" or by_message)

    @property
    def has_texts(self) -> bool:
        """Whether its evaluation asked for generated texts, on which decoding bears."""
        asked = self.part("evaluation.predictions").values()
        return any(isinstance(request, Mapping) and request.get("kind") == "text" for request in asked)

    @property
    def evaluation_ids(self) -> list[str]:
        found = [*self.evaluated_by.values(), *([self.evaluation_id] if self.evaluation_id else [])]
        return list(dict.fromkeys(found))

    def samples(self, metric: str | None = None) -> Path | None:
        """Return the file with the evaluated items, those that a metric was computed from; None for a run alone."""
        evaluation = self.evaluated_by.get(metric or "", self.evaluation_id)
        return None if evaluation is None else self._samples(evaluation)

    def all_samples(self) -> list[Path]:
        """Return the files with the evaluated items of all its evaluations."""
        return [self._samples(evaluation) for evaluation in self.evaluation_ids]

    def _samples(self, evaluation: str) -> Path:
        return self.folder / "evaluations" / f"{evaluation}.samples.jsonl"


@dataclass(frozen=True)
class RunFiles:
    """A run alone, and its evaluations by id."""

    alone: RunResult
    evaluations: Mapping[str, RunResult]

    def results(self) -> list[RunResult]:
        """Return a result an evaluation, or the run alone where it has none."""
        return list(self.evaluations.values()) or [self.alone]

    def find(self, evaluation_id: Any) -> list[RunResult]:
        """Return the result of this evaluation, the run alone where it isn't there; all where none is named."""
        if evaluation_id is None:
            return self.results()
        found = self.evaluations.get(evaluation_id) if isinstance(evaluation_id, str) else None
        return [self.alone if found is None else found]


Runs = Mapping[str, RunFiles]
"""by run id"""


def read_runs(output_dir: Path, problems: list[Problem]) -> dict[str, RunFiles]:
    """Return every run under `output_dir`/runs in order of folder names, each id once; add files set aside."""
    found: dict[str, RunFiles] = {}
    for folder in sorted(path for path in (output_dir / "runs").glob("*") if path.is_dir()):
        try:
            run = _run(folder)
            if run.run_id in found:
                raise SetAside(f"the same run id as {found[run.run_id].alone.folder.name}")
        except SetAside as reason:
            problems.append(Problem(folder / "run.json", str(reason)))
        else:
            found[run.run_id] = RunFiles(run, dict(_evaluations(run, problems)))
    return found


def _run(folder: Path) -> RunResult:
    raw = read_record(folder / "run.json")
    run_id, status = raw.get("run_id"), raw.get("status")
    if not (
        isinstance(run_id, str) and isinstance(raw.get("setting_key"), str) and isinstance(raw.get("config"), Mapping)
    ):
        raise SetAside("it lacks run_id, setting_key or config")
    if status not in STATUSES:
        raise SetAside(f"status is {status!r}, none of {', '.join(STATUSES)}")
    return RunResult(run_id, status, folder, raw)


def _evaluations(run: RunResult, problems: list[Problem]) -> Iterator[tuple[str, RunResult]]:
    """Yield a run's evaluations by id, in order of their ids."""
    for path in sorted((run.folder / "evaluations").glob("*.json")):
        try:
            evaluation = _evaluation(path, run.run_id)
        except SetAside as reason:
            problems.append(Problem(path, str(reason)))
        else:
            failed = evaluation.get("failure") is not None
            status = FAILED if failed and run.status == COMPLETED else run.status
            yield path.stem, replace(run, status=status, raw=_merged(run.raw, evaluation), evaluation_id=path.stem)


def _evaluation(path: Path, run_id: str) -> Mapping[str, Any]:
    raw = read_record(path)
    if raw.get("evaluation_id") != path.stem or raw.get("run_id") != run_id:
        raise SetAside("its evaluation_id or run_id isn't that of its file and folder")
    if raw.get("failure") is not None:
        return raw
    if not all(isinstance(raw.get(part), Mapping) for part in ("metrics", "descriptions", "config")):
        raise SetAside("it lacks metrics, descriptions or config")
    if not isinstance(raw.get("comparability_key"), str):
        raise SetAside("without a comparability_key it can stand in no table")
    return raw


def _merged(run: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a run's record with an evaluation in it, as `RunResult` describes."""
    config = evaluation.get("config")
    apart = ("data", "resources", "provenance", "predictions", "failure")
    return {
        **run,
        "config": {**run["config"], **(config if isinstance(config, Mapping) else {})},
        "metrics": evaluation.get("metrics", {}),
        "descriptions": evaluation.get("descriptions", {}),
        "comparability_key": evaluation.get("comparability_key"),
        "scored": evaluation.get("scored", {}),
        "personas": evaluation.get("personas", {}),
        "failure": run.get("failure") if run.get("failure") is not None else evaluation.get("failure"),
        "evaluation": {key: evaluation.get(key) for key in apart},
    }


def distinct_ids(results: Sequence[RunResult]) -> list[str]:
    """Return a name for each result: its run id, with its evaluation's where several results are of one run."""
    count = Counter(result.run_id for result in results)
    return [r.run_id if count[r.run_id] == 1 else f"{r.run_id}/{r.evaluation_id}" for r in results]


def put_together(results: Sequence[RunResult]) -> list[RunResult]:
    """Return one result for the evaluations of a run with one comparability key and one seed: with all their metrics.

    Of a metric that several have, the evaluation that was made last counts. They are to be of the same versions
    (`read.comparable`).
    """
    groups: dict[tuple[str, str | None, str], list[RunResult]] = {}
    for result in results:
        groups.setdefault((result.run_id, result.key, repr(result.seed)), []).append(result)
    return [group[0] if len(group) == 1 else _together(group) for group in groups.values()]


def _together(group: Sequence[RunResult]) -> RunResult:
    ordered = sorted(group, key=lambda result: (str(result.get("evaluation.provenance.created")), result.evaluation_id))
    parts = ("metrics", "descriptions", "scored")
    raw = {part: {k: v for result in ordered for k, v in result.part(part).items()} for part in parts}
    raw["personas"] = {}
    for result in ordered:
        for name, values in result.part("personas").items():
            raw["personas"][name] = {**raw["personas"].get(name, {}), **(values if isinstance(values, Mapping) else {})}
    by = {metric: str(result.evaluation_id) for result in ordered for metric in result.part("metrics")}
    return replace(ordered[-1], raw={**ordered[-1].raw, **raw}, evaluated_by=by)
