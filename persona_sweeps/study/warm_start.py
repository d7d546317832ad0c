"""Settings that another sweep has found good, to be tried first."""

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
    """Return the best settings of the completed runs of sweep `warm_start`, best first, each once; and how many others
    were passed over because they lie outside the space, or lack the study's first metric, which decides the order.

    Raises ConfigError when there is no such sweep, and when none of its runs is of use.
    """
    sweep = str(settings.warm_start)
    records = list(_completed(output_dir, sweep))
    found: list[tuple[float, dict[str, Any]]] = []
    for record in records:
        params = _params(record.run["config"], space)
        try:
            value = objective_values(record, settings.metric[:1])[0]
        except TrialError:
            continue
        if params is not None:
            found.append((value, params))
    if not found:
        raise ConfigError(
            f"hydra.sweeper.warm_start={sweep}: of its {len(records)} completed runs none has {settings.metric[0]} and "
            f"a setting within this study's space ({', '.join(space.describe())})."
        )
    found.sort(key=lambda pair: pair[0], reverse=settings.direction[0] == "maximize")
    best: list[dict[str, Any]] = []
    for _, params in found:
        if params not in best:
            best.append(params)
    return best[: settings.warm_start_best], len(records) - len(found)


def _completed(output_dir: Path, sweep: str) -> Iterator[Outcome]:
    """Yield the completed evaluations of a sweep, each once."""
    folder = output_dir / "sweeps"
    listed = read_json(SweepFolder.of(output_dir, sweep).record)
    if listed is None:
        known = sorted(path.parent.name for path in folder.glob("*/sweep.json"))
        raise ConfigError(
            f"hydra.sweeper.warm_start={sweep} is no sweep under {folder}.{did_you_mean(sweep, known)} "
            f"There {'are' if known else 'is'} {', '.join(known) or 'none yet'}."
        )
    for name, evaluation in dict.fromkeys((row["folder"], row["evaluation_id"]) for row in listed["cells"]):
        found = outcome(RunFolder(output_dir / name), evaluation)
        if found.status == "completed":
            yield found


def _params(config: Mapping[str, Any], space: Space) -> dict[str, Any] | None:
    """Return what a run's config says of each dimension; None when one is absent or outside."""
    params = {}
    for dimension in space:
        value = _within(dimension.distribution, _value(config, dimension.key))
        if value is None:
            return None
        params[dimension.key] = value
    return params


def _value(config: Mapping[str, Any], key: str) -> Any:
    if key == "peft.alpha_ratio":  # settled into alpha, which is what a record holds
        peft = config["peft"]
        return peft["alpha"] / peft["r"] if peft.get("alpha") and peft.get("r") else None
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _within(distribution: BaseDistribution, value: Any) -> Any:
    """Return a value as the distribution has it; None when it isn't one of its own."""
    if isinstance(distribution, CategoricalDistribution):
        return next((choice for choice in distribution.choices if choice == value or choice == str(value)), None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if distribution._contains(distribution.to_internal_repr(value)) else None
