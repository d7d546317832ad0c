"""The plan of a sweep: which runs are to do, and how they are grouped."""

from __future__ import annotations

from dataclasses import dataclass, field

from persona_sweeps.config.kinds import kind_of
from persona_sweeps.planning.cells import Cell
from persona_sweeps.records.identity import digest

ALONE = frozenset({"full"})
"""methods that train the base model's own weights, so that no other run can share them"""


@dataclass(slots=True)
class Plan:
    """The cells in the order asked for, the runs among them that are to do, and the groups they form."""

    cells: list[Cell]
    groups: list[list[Cell]] = field(default_factory=list)

    @property
    def runs(self) -> list[Cell]:
        """One cell a run: cells that ask for the same run share it."""
        return list({cell.run_id: cell for cell in reversed(self.cells)}.values())[::-1]

    @property
    def to_do(self) -> list[Cell]:
        return [cell for group in self.groups for cell in group]


def make_plan(cells: list[Cell]) -> Plan:
    """Group the runs that are not completed: same base model, quantization, precision, length and device."""
    plan = Plan(cells)
    groups: dict[str, list[Cell]] = {}
    for cell in plan.runs:
        if not cell.done:
            groups.setdefault(group_key(cell), []).append(cell)
    for group in groups.values():
        size = group[0].config.group_size
        plan.groups += [group[start : start + size] for start in range(0, len(group), size)]
    return plan


def group_key(cell: Cell) -> str:
    """Return what runs must share to train together: base model, quantization, precision, length and device.

    Those without a model are together, since they need none.
    """
    train, resolved = cell.config.train, cell.resolved
    if not kind_of(cell.config.peft.method).has_model:
        return digest([cell.config.peft.method])
    alone = cell.run_id if cell.config.peft.method in ALONE else None
    base = [resolved["model"], resolved["quantization"], train.precision, resolved["device"]]
    return digest([*base, train.max_length, alone])
