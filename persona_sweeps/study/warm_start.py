"""Read the best settings of another sweep, which a study tries first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from persona_sweeps.errors import ConfigError, TrialError, did_you_mean
from persona_sweeps.records.evaluation import Outcome, outcome
from persona_sweeps.records.files import read_json
from persona_sweeps.records.folders import RunFolder, SweepFolder
from persona_sweeps.study.settings import StudySettings
from persona_sweeps.study.space import Space
from persona_sweeps.study.values import objective_values


def known_settings(output_dir: Path, settings: StudySettings, space: Space) -> tuple[list[dict[str, Any]], int]:
    """Return the best settings of sweep `warm_start`, best first, each once, and how many runs were skipped.

    A run is skipped if its setting lies outside the space, or if it lacks the study's first metric, which decides the
    order. Raises ConfigError if there is no such sweep, and if no run of it is usable.
    """
    sweep = str(settings.warm_start)
    records = list(_completed(output_dir, sweep))
    ranked: list[tuple[float, dict[str, Any]]] = []
    for record in records:
        params = _params(record.run["config"], space)
        try:
            value = objective_values(record, settings.metric[:1])[0]
        except TrialError:
            continue
        if params is not None:
            ranked.append((value, params))
    if not ranked:
        raise ConfigError(
            f"hydra.sweeper.warm_start={sweep}: of its {len(records)} completed runs none has {settings.metric[0]} and "
            f"a setting within this study's space ({', '.join(space.describe())})."
        )
    ranked.sort(key=lambda pair: pair[0], reverse=settings.direction[0] == "maximize")
    best: list[dict[str, Any]] = []
    for _, params in ranked:
        if params not in best:
            best.append(params)
    return best[: settings.warm_start_best], len(records) - len(ranked)


def _completed(output_dir: Path, sweep: str) -> Iterator[Outcome]:
    """Yield the completed evaluations of a sweep, each once."""
    folder = output_dir / "sweeps"
    listed = read_json(SweepFolder.of(output_dir, sweep).record)
    if listed is None:
        names = sorted(path.parent.name for path in folder.glob("*/sweep.json"))
        raise ConfigError(
            f"hydra.sweeper.warm_start={sweep} is no sweep under {folder}.{did_you_mean(sweep, names)} "
            f"There {'are' if names else 'is'} {', '.join(names) or 'none yet'}."
        )
    for name, evaluation in dict.fromkeys((row["folder"], row["evaluation_id"]) for row in listed["cells"]):
        result = outcome(RunFolder(output_dir / name), evaluation)
        if result.status == "completed":
            yield result


def _params(config: Mapping[str, Any], space: Space) -> dict[str, Any] | None:
    """Return a run's value of each dimension; None if one is missing or outside the space."""
    params = {}
    for dimension in space:
        value = _within(dimension.distribution, _value(config, dimension.key))
        if value is None:
            return None
        params[dimension.key] = value
    return params


def _value(config: Mapping[str, Any], key: str) -> Any:
    if key == "peft.alpha_ratio":  # converted to alpha, which is in the record
        peft = config["peft"]
        return peft["alpha"] / peft["r"] if peft.get("alpha") and peft.get("r") else None
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _within(distribution: BaseDistribution, value: Any) -> Any:
    """Return a value in the distribution's form; None if it isn't in the distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return next((choice for choice in distribution.choices if choice == value or choice == str(value)), None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if distribution._contains(distribution.to_internal_repr(value)) else None
