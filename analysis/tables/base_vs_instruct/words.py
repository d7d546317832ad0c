"""What is said of pairs below their sections."""

from __future__ import annotations

from collections.abc import Sequence

from .. import wording
from .pairs import ModelPair


def details_notes(rows: Sequence[ModelPair]) -> list[str]:
    """Say on how much pairs rest, and what they can't speak of."""
    sides_of = [side for row in rows for side in (row.of_base, row.of_instruct)]
    found = [*wording.evaluated_on(side.estimate for side in sides_of), *wording.in_common(sides_of)]
    sides = {id(setting): setting for row in rows for setting in (row.base, row.instruct)}
    found += wording.without_training_noise(list(sides.values())) if found else ["No evaluation items: not tested."]
    found += wording.on_common_items(result for setting in sides.values() for result in setting.results)
    found += wording.losses(sides.values())
    return [*found, *wording.troubles(part for row in rows for part in (row.of_base, row.of_instruct, row.pair))]


def best_notes(rows: Sequence[ModelPair]) -> list[str]:
    """Say how the best settings were chosen."""
    chosen_by = rows[0].measure.label
    found = [f"Best by {chosen_by}, of all methods that were run, those that train nothing among them."]
    if any(row.flattered for row in rows):
        found.append(wording.flattered(["Best settings"], max(max(row.tried) for row in rows)))
    return found
