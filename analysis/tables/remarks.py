"""Sentences that metrics left in the records for readers, such as how far a classifier can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..read.results import RunResult
from ..read.settings import Setting
from .wording import join

_MOST = 3
"""rows that a remark names, at most"""


def notes(found: Sequence[Setting]) -> list[str]:
    """Return the remarks on the settings of a section, each once; one that isn't on all of them names its rows."""
    by_remark: dict[tuple[str, str], dict[str, None]] = {}
    rows_of: dict[str, set[str]] = {}
    for setting in found:
        for result in setting.results:
            for metric, remark in _remarks(result):
                by_remark.setdefault((metric, remark), {})[setting.label] = None
                rows_of.setdefault(metric, set()).add(setting.label)
    return [
        remark if labels.keys() == rows_of[metric] else f"{remark} ({_listed(list(labels))})"
        for (metric, remark), labels in by_remark.items()
    ]


def _remarks(result: RunResult) -> Iterator[tuple[str, str]]:
    for metric, scored in result.part("scored").items():
        remarks = scored.get("remarks") if isinstance(scored, Mapping) else None
        for remark in remarks if isinstance(remarks, list) else []:
            yield str(metric), str(remark)


def _listed(labels: Sequence[str]) -> str:
    more = len(labels) - _MOST
    return join(labels) if more <= 0 else f"{', '.join(labels[:_MOST])} and {more} more"
