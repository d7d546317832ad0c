"""Columns that several tables share: what a setting is, and its raw columns at full precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..read.labels import model_label
from ..read.measures import Measure, Measures
from ..read.settings import Setting
from .numbers import Reading, form_of, rate, reading
from .table import Column

Get = Callable[[Any], Setting]
"""the setting of a row"""


def setting_columns(of: Get, label: Callable[[Setting], str] | None = None, model: bool = False) -> list[Column]:
    """Return the printed columns of a setting: its model if asked for, its method and its learning rate."""
    named = label or (lambda setting: setting.label)
    return [
        *([Column("model", right=False, value=lambda row: model_label(of(row).first))] if model else []),
        Column("method", right=False, value=lambda row: named(of(row))),
        Column("learning rate", value=lambda row: of(row).learning_rate, form=rate),
    ]


def identity_columns(of: Get) -> list[Column]:
    """Return the raw columns that say what a row is."""
    return [
        _raw("comparability_key", lambda row: of(row).first.key),
        _raw("model", lambda row: of(row).first.get("config.model.name")),
        _raw("scale", lambda row: of(row).first.get("config.model.scale")),
        _raw("quantization", lambda row: of(row).first.get("config.quantization.method")),
        _raw("dataset", lambda row: of(row).first.get("config.dataset.source")),
        _raw("persona", lambda row: of(row).first.get("config.dataset.persona")),
        _raw("method", lambda row: of(row).method),
        _raw("setting", lambda row: of(row).label),
        _raw("setting_key", lambda row: of(row).first.setting_key),
        _raw("learning_rate", lambda row: of(row).learning_rate),
        _raw("seeds", lambda row: " ".join(str(seed) for seed in of(row).seeds if seed is not None)),
        _raw("runs", lambda row: len(of(row).results)),
        _raw("trainable_parameters", lambda row: of(row).first.number("training.trainable_parameters")),
    ]


def cost_columns(of: Get) -> list[Column]:
    """Return the raw columns of what a row took, and the ids behind it."""
    numbers = {
        "wall_seconds": "resources.wall_seconds",
        "cpu_seconds": "resources.cpu_seconds",
        "group_size": "resources.group_size",
        "evaluation_wall_seconds": "evaluation.resources.wall_seconds",
        "evaluation_cpu_seconds": "evaluation.resources.cpu_seconds",
    }
    return [
        *(_raw_mean(name, of, path) for name, path in numbers.items()),
        _raw("device", lambda row: device(of(row))),
        _raw("train_examples", lambda row: of(row).first.number("data.train_examples")),
        _raw("eval_examples", lambda row: of(row).first.number("evaluation.data.eval_examples")),
        _raw("run_ids", lambda row: " ".join(of(row).run_ids)),
        _raw("evaluation_ids", lambda row: " ".join(evaluation_ids(of(row)))),
    ]


def metric_column(
    measure: Measure, of: Get, heading: str = "", reads: Callable[[Any], Reading] | None = None
) -> Column:
    """Return a metric's column, printed where it has a heading; `reads` gives readings with more than a spread."""
    value = reads or (lambda row: reading(of(row), measure.name))
    return Column(heading, value=value, form=form_of(measure), raw=measure.short)


def metric_columns(known: Measures, printed: Iterable[Measure], of: Get) -> list[Column]:
    """Return a column for every metric, printed in the order of `printed`, the others in raw rows alone."""
    first = {measure.name: measure for measure in printed}
    others = [measure for measure in known if measure.name not in first]
    return [
        *(metric_column(measure, of, measure.label) for measure in first.values()),
        *(metric_column(measure, of) for measure in others),
    ]


def device(setting: Setting) -> Any:
    """Return where it was trained, or evaluated where nothing was."""
    return setting.first.get("resources.device") or setting.first.get("evaluation.resources.device")


def evaluation_ids(setting: Setting) -> list[str]:
    return list(dict.fromkeys(name for result in setting.results for name in result.evaluation_ids))


def _raw(name: str, value: Callable[[Any], Any]) -> Column:
    return Column(value=value, raw=name)


def _raw_mean(name: str, of: Get, path: str) -> Column:
    return _raw(name, lambda row: _mean(of(row), path))


def _mean(setting: Setting, path: str) -> float | None:
    spread = setting.spread(path)
    return spread.mean if spread else None
