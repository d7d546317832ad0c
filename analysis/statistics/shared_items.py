"""Comparable results with their metrics on the items that all of them have.

A model's template may push an item over the limit of length. What a table says of two models must not rest on that
item, so where rows have other numbers of items, each metric that follows from items is computed on those in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..read.comparable import Comparable, comparable
from ..read.labels import base_label, canonical, has_model
from ..read.measures import METRICS
from ..read.results import RunResult
from ..read.samples import SamplesError, read_items


def on_shared_items(results: Sequence[RunResult]) -> list[Comparable]:
    """Group results as `comparable` does, each group on its common items.

    The last answer is kept: the tables of a command ask of the same results.
    """
    if not (_last and _last[0] is results):
        _last[:] = [results, [_on_common_items(group) for group in comparable(results)]]
    found: list[Comparable] = _last[1]
    return found


_last: list[Any] = []
"""the results that were asked of last, and their groups"""


def _on_common_items(group: Comparable) -> Comparable:
    if len({result.number(_COUNT) for result in group.results}) < 2:
        return group
    names = _names(group.results)
    if names is None:
        return group
    return replace(group, results=tuple(_restricted(result, names) for result in group.results))


_COUNT = "evaluation.data.eval_examples"


def _names(results: Sequence[RunResult]) -> frozenset[str] | None:
    """Return the ids of the items that enough of the results share; None where they can't be read, or all share all.

    Results of one base model with one limit of length and one number of items have the same ones.
    """
    from .common import shared_names

    alike: dict[str, RunResult] = {}
    for result in results:
        model = base_label(result) if has_model(result) else None
        alike.setdefault(canonical([model, result.get("config.max_length"), result.number(_COUNT)]), result)
    found = [names for result in alike.values() if (names := _ids(result)) is not None]
    return shared_names(found) if len(set(found)) > 1 else None


def _ids(result: RunResult) -> frozenset[str] | None:
    try:
        items = read_items(result)
    except SamplesError:
        return None  # what is wrong with them is said where they are measured
    return items.ids if items else None


def _restricted(result: RunResult, names: frozenset[str]) -> RunResult:
    """Return a result with its metrics on these items; as it is where it has no others, or too few of them."""
    own = _ids(result)
    if own is None or own <= names or not names <= own:
        return result
    recorded = dict(result.part("metrics"))
    of = dict(result.part("evaluation"))
    of["data"] = {**result.part("evaluation.data"), "eval_examples": len(names), "all_eval_examples": len(own)}
    values = recorded | _values(result, names)
    raw = {**result.raw, "evaluation": of, "metrics": values, "metrics_of_all_items": recorded}
    return replace(result, raw=raw, items=names)


def _values(result: RunResult, names: frozenset[str]) -> dict[str, Any]:
    """Return the metrics that follow from items, on these items."""
    from ..read.measures import measures
    from .aggregates import NoAggregate, aggregate, sums_by_cluster

    found: dict[str, float] = {}
    for measure in measures([result]):
        try:
            of, items = aggregate(measure), read_items(result, measure.short)
            if items is not None:
                sums = sums_by_cluster(items.lines, of, items.places).only(names)
                found[measure.name.removeprefix(METRICS)] = float(of.value(sums.sums.sum(axis=0)))
        except (NoAggregate, SamplesError, KeyError, ValueError, TypeError, OverflowError):
            continue  # as recorded; where it is measured, the reason is said
    return found
