"""The plan of a sweep: what of its cells is missing, and which of them are carried out together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from persona_sweeps.planning.cells import Cell, Stage
from persona_sweeps.records.identity import digest


@dataclass(slots=True)
class Plan:
    """The cells in the order asked for, and the groups of those that are to do."""

    cells: list[Cell]
    groups: list[list[Cell]] = field(default_factory=list)

    @property
    def distinct(self) -> list[Cell]:
        """One cell for each evaluation: cells that ask for the same share it."""
        return list({cell.evaluation_id: cell for cell in reversed(self.cells)}.values())[::-1]

    @property
    def to_do(self) -> list[Cell]:
        return [cell for group in self.groups for cell in group]

    def missing(self) -> Counter[Stage]:
        """Count the runs to train, and the other cells to do by their stage."""
        runs = {cell.run_id for cell in self.to_do if cell.stage is Stage.train}
        others = Counter(cell.stage for cell in self.to_do if cell.run_id not in runs)
        return Counter({Stage.train: len(runs), **others})


def make_plan(cells: list[Cell]) -> Plan:
    """Group the cells that are to do: same base model, quantization, precision, length and device.

    A group has at most `group_size` runs; the cells of one run are in one group.
    """
    plan = Plan(cells)
    groups: dict[str, list[Cell]] = {}
    for cell in plan.distinct:
        if not cell.done:
            groups.setdefault(group_key(cell), []).append(cell)
    for group in groups.values():
        plan.groups += in_parts(group, group[0].config.group_size)
    return plan


def in_parts(cells: Sequence[Cell], size: int) -> list[list[Cell]]:
    """Divide cells into groups of at most so many runs each."""
    runs = by_run(cells)
    return [[cell for own in runs[start : start + size] for cell in own] for start in range(0, len(runs), size)]


def by_run(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return the cells of each run, in order of first appearance."""
    runs: dict[str, list[Cell]] = {}
    for cell in cells:
        runs.setdefault(cell.run_id, []).append(cell)
    return list(runs.values())


def halves(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """Yield the two halves of a group, by runs; the group itself where it is a single run."""
    runs = by_run(cells)
    middle = (len(runs) + 1) // 2
    for part in (runs[:middle], runs[middle:]):
        if part:
            yield [cell for own in part for cell in own]


def group_key(cell: Cell) -> str:
    """Return what cells must share to be carried out together: base model, quantization, precision, length and device.

    Those that need no model are together: references without one, and cells of which only the scores are missing.
    """
    train, resolved, peft = cell.config.train, cell.resolved, cell.config.peft
    if cell.stage is Stage.score:
        return "score"
    if not peft.has_model:
        return digest([peft.method])
    own = cell.run_id if peft.owns_base else None
    base = [resolved["model"], resolved["quantization"], train.precision, resolved["device"]]
    return digest([*base, train.max_length, own])
