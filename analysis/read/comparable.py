"""Which results may be ranked together, and in words what keeps others apart: a comparability key alone is a hash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .labels import canonical, dataset_label, flat, has_model, model_label, plain
from .measures import METRICS, Measures, measures, version
from .results import FAILED, RunResult, put_together
from .settings import Setting, settings_with_losses

_NOT_SHOWN_BY_PROMPTS = (
    "dataset.path",
    "dataset.eval_path",
    "dataset.limit",
    "dataset.eval_limit",
    "dataset.min_examples",
)
_MOST = 4

Versions = Mapping[str, str]
"""version by metric"""


@dataclass(frozen=True)
class Comparable:
    """Results with one comparability key whose metrics are of the same versions.

    `versions` has those of the metrics of which the key has others too, in another `Comparable`.
    """

    key: str
    results: tuple[RunResult, ...]
    versions: Versions
    failed: tuple[RunResult, ...] = ()
    """runs that came to nothing, of whatever data"""

    @cached_property
    def settings(self) -> list[Setting]:
        return settings_with_losses(self.results, self.failed)

    @cached_property
    def measures(self) -> Measures:
        return measures(self.results)

    @property
    def data(self) -> str:
        """What was evaluated: the data, and in brackets the key."""
        return f"{' / '.join(dict.fromkeys(map(dataset_label, self.results)))} ({key_label(self.key)})"

    @cached_property
    def models(self) -> list[str]:
        """The labels of all models, each once."""
        return list(dict.fromkeys(model_label(result) for result in self.results if has_model(result)))


def key_label(key: str) -> str:
    return f"comparability key {key[:10]}"


def comparable(results: Sequence[RunResult]) -> list[Comparable]:
    """Group the scored of these results by comparability key and, where it has a metric in several versions, by these.

    Keys are in order of first appearance. Evaluations of one run with the same seed are put together.
    """
    by_key: dict[str, list[RunResult]] = {}
    for result in results:
        if result.is_scored and result.key is not None:
            by_key.setdefault(result.key, []).append(result)
    failed = tuple(result for result in results if result.status == FAILED)
    return [
        Comparable(key, tuple(put_together(part)), versions, failed)
        for key, of_key in by_key.items()
        for part, versions in by_versions(of_key)
    ]


def by_versions(results: Sequence[RunResult]) -> list[tuple[list[RunResult], Versions]]:
    """Divide results by the versions of metrics that have several; one without these joins the first part."""
    versions = [_versions(result) for result in results]
    several: dict[str, set[str]] = {}
    for of_result in versions:
        for metric, found in of_result.items():
            several.setdefault(metric, set()).add(found)
    parts: list[tuple[list[RunResult], dict[str, str]]] = []
    for result, of_result in zip(results, versions, strict=True):
        conflicting = {metric: found for metric, found in of_result.items() if len(several[metric]) > 1}
        for members, of_part in parts:
            if all(of_part.get(metric, found) == found for metric, found in conflicting.items()):
                members.append(result)
                of_part |= conflicting
                break
        else:
            parts.append(([result], conflicting))
    return [(members, of_part) for members, of_part in parts]


def _versions(result: RunResult) -> dict[str, str]:
    descriptions = result.part("descriptions")
    return {str(name): version(descriptions.get(name)) for name in result.part("metrics")}


def why_apart(first: Comparable, second: Comparable) -> list[str]:
    """Return what keeps two sections apart, as clauses; the second's value comes first in each."""
    if first.key != second.key:
        return differences(first.results[0], second.results[0])
    return _other_versions(first.versions, second.versions, second.measures)


def differences(first: RunResult, second: RunResult) -> list[str]:
    """Return what keeps two results apart, as clauses such as `other decoding (generation.method nucleus, not greedy)`.

    The second's value comes first in each. Empty for results with equal keys and the same versions of what both have.
    """
    if first.key == second.key:
        return _other_versions(_versions(first), _versions(second), measures([second]))
    found = [clause for look in _LOOKS if (clause := look(first, second))]
    return found or ["other evaluation items (which of the examples were evaluated; their records agree otherwise)"]


def _other_versions(first: Versions, second: Versions, known: Measures) -> list[str]:
    changed = [metric for metric in second if metric in first and first[metric] != second[metric]]
    named = [
        f"{known[METRICS + metric].label}: {second[metric] or '?'}, not {first[metric] or '?'}" for metric in changed
    ]
    return [f"other versions of metrics ({_shortened(named)})"] if named else []


def _config(name: str, group: str) -> Callable[[RunResult, RunResult], str | None]:
    def look(first: RunResult, second: RunResult) -> str | None:
        changed = _changed(_group(first, group), _group(second, group))
        return f"{name} ({changed})" if changed else None

    return look


def _source(first: RunResult, second: RunResult) -> str | None:
    path = "evaluation.provenance.data_fingerprint"
    if first.get(path) == second.get(path):
        return None
    return f"other source data (fingerprint {str(second.get(path))[:8]}, not {str(first.get(path))[:8]})"


def _count(first: RunResult, second: RunResult) -> str | None:
    path = "evaluation.data.eval_examples"
    if first.get(path) == second.get(path):
        return None
    return f"other evaluation items ({second.get(path)}, not {first.get(path)})"


_LOOKS = (_source, _config("other evaluation data", "dataset"), _count, _config("other decoding", "generation"))


def _group(result: RunResult, group: str) -> dict[str, Any]:
    values = result.get(f"config.{group}")
    found = flat(values, f"{group}.") if isinstance(values, Mapping) else {}
    return {key: value for key, value in found.items() if key not in _NOT_SHOWN_BY_PROMPTS}


def _changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    keys = [key for key in dict.fromkeys([*first, *second]) if canonical(first.get(key)) != canonical(second.get(key))]
    return _shortened([f"{key} {plain(second.get(key))}, not {plain(first.get(key))}" for key in keys])


def _shortened(parts: Sequence[str]) -> str:
    more = len(parts) - _MOST
    return "; ".join([*parts[:_MOST], *([f"{more} more"] if more > 0 else [])])
