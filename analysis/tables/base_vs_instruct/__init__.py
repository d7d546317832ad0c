"""Base models against their chat-tuned counterparts: each at its best, wins by family, then setting by setting."""

from __future__ import annotations

from collections.abc import Sequence

from ...read.comparable import Comparable
from ...read.labels import has_model
from ...read.measures import Measure
from ...read.selection import Selection
from ...statistics.shared_items import on_shared_items
from .. import notes
from ..options import TableOptions
from ..table import Column, Section, Table, cells, raw_rows, shown
from . import apart
from .columns import BEST, COLUMNS, FAMILIES
from .families import wins
from .pairs import ModelPair, best_pairs, pairs_of, rows_of
from .words import best_notes, details_notes

SUMMARY = "each base model against its instruct counterpart: each at its best, wins by family, then setting by setting"


def applies(selection: Selection) -> bool:
    """Whether a base and its counterpart were both evaluated."""
    results = [result for result in selection.scored() if has_model(result)]
    names = {str(result.get("config.model.name")) for result in results}
    return any(str(result.get("config.model.counterpart")) in names for result in results)


def build(selection: Selection, options: TableOptions | None = None) -> Table:
    """Return the sections of each set of comparable results in which a base and its counterpart are.

    `options.metrics` are compared instead of the headlines; the first of them chooses the best settings.
    """
    asked = options.metrics if options else ()
    sections: list[Section] = []
    details: list[ModelPair] = []
    best: list[ModelPair] = []
    alone = 0
    for group in on_shared_items(selection.results):
        settings = [setting for setting in group.settings if setting.has_model and not setting.is_ceiling]
        pairs, metrics = pairs_of(settings), _compared(group, asked)
        alone += len(settings) - 2 * len(pairs)
        of_group = rows_of(pairs, metrics)
        at_best = best_pairs(settings, metrics, selection)
        sections += _sections(group, at_best, of_group)
        details += of_group
        best += at_best
    return Table(
        title=f"Base against instruct: {selection.title}",
        columns=shown(COLUMNS),
        sections=sections,
        notes=[*notes.left_out(selection), *_footnotes(selection, [*best, *details], alone if details else 0)],
        raw=[*raw_rows(COLUMNS, details), *raw_rows(BEST, best)],
    )


def _compared(group: Comparable, asked: Sequence[str]) -> list[Measure]:
    """Return the metrics asked for, or the headlines; none that counts tokens, of which the two may have other ones."""
    chosen = [group.measures[name] for name in asked] or group.measures.headlines()
    return [m for m in chosen if not m.per_token and m.higher_is_better is not None]


def _sections(group: Comparable, best: Sequence[ModelPair], details: Sequence[ModelPair]) -> list[Section]:
    found = []
    if best:
        found.append(_section("Each at its best", group, BEST, best, best_notes(best)))
    if families := wins(details):
        rows = cells(FAMILIES, families)
        found.append(
            Section(f"By family · {group.data}", rows, (), shown(FAMILIES), runs=[of.run_ids for of in families])
        )
    if details:
        found.append(_section("Setting by setting", group, COLUMNS, details, details_notes(details)))
    return found


def _section(
    title: str, group: Comparable, columns: Sequence[Column], rows: Sequence[ModelPair], said: Sequence[str]
) -> Section:
    ids = [[*row.base.run_ids, *row.instruct.run_ids] for row in rows]
    return Section(f"{title} · {group.data}", cells(columns, rows), said, shown(columns), runs=ids)


def _footnotes(selection: Selection, rows: Sequence[ModelPair], alone: int) -> list[str]:
    if not rows:
        return [
            *apart.why_no_pair(selection),
            "To compare a base model with its counterpart, run both with the same settings: "
            "`python launch.py -m model=gemma3_270m,gemma3_270m_it`.",
        ]
    found = [*notes.units([row.measure for row in rows])]
    if any(len(setting.results) > 1 for row in rows for setting in (row.base, row.instruct)):
        found.append(notes.SPREADS)
    if any(row.of_base.interval or row.of_instruct.interval for row in rows):
        found.append(notes.INTERVALS)
    if any(row.pair.p is not None for row in rows):
        found.append(notes.PAIRED)
    if alone:
        found.append(f"{alone} settings have no counterpart with the same settings, and stand in no pair of settings.")
    return [
        *found,
        "The two see different prompts, each in its own form (a chat template or plain text): the pair is compared as "
        "it is used. Metrics that count tokens are left out, since tokenizers may differ.",
        notes.CSV,
    ]
