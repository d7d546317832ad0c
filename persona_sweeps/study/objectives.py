"""What a study searches for: its metrics, as the runs of the study describe them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from persona_sweeps.errors import ConfigError, did_you_mean
from persona_sweeps.metrics.metric import Description
from persona_sweeps.planning.cells import Cell
from persona_sweeps.study.settings import StudySettings

ARROWS = {"minimize": "less is better", "maximize": "more is better"}


def with_objectives(settings: StudySettings, example: Cell) -> StudySettings:
    """Return the settings with a direction for each metric: the one given, or the one that the metric describes.

    A number of the run's record has no description, and is minimized: most of them are costs. `example` is a run of the
    study. Raises ConfigError for a metric that its evaluation doesn't have.
    """
    described = {name: one for metric in example.metrics.values() for name, one in metric.describe().items()}
    if mistakes := list(_unknown(settings, described, example)):
        raise ConfigError(" ".join(mistakes))
    return replace(settings, direction=settings.direction or [_direction(name, described) for name in settings.metric])


def objectives_in_words(settings: StudySettings) -> str:
    """Return the metrics with their directions: `rougeL (more is better) and bits_per_byte (less is better)`."""
    named = [f"{name} ({ARROWS[way]})" for name, way in zip(settings.metric, settings.direction, strict=True)]
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))


def _unknown(settings: StudySettings, described: Mapping[str, Description], example: Cell) -> Iterator[str]:
    for name in settings.metric:
        if "." not in name and name not in described:
            families = ",".join(example.metrics)
            yield (
                f"hydra.sweeper.metric={name} is no value of metrics=[{families}], which has "
                f"{', '.join(sorted(described))}.{did_you_mean(name, described)}"
            )
        elif name in described and described[name].higher_is_better is None and not settings.direction:
            yield (
                f"hydra.sweeper.metric={name} is better neither high nor low: choose another metric, or say with "
                "hydra.sweeper.direction which way to search."
            )


def _direction(name: str, described: Mapping[str, Description]) -> str:
    return "maximize" if name in described and described[name].higher_is_better else "minimize"
