"""The registry of tables: one module a table.

To add one, write a module with `SUMMARY` (one line for --help) and `build(selection) -> Table`; name it in `TABLES`.
Sections may have columns of their own and bring figures, whose kinds are the modules of `analysis.figures`.
A table that has nothing to say of most runs also has `applies(selection) -> bool`: it is made where that holds, or when
asked for. One that has a choice of metric takes it as `build(selection, options)`, with options that may be left out,
and is entered with `choice=True`, and with `several=True` if it takes several. With `boards=True` a published board can
be set beside its rows. One with `fronts=True` draws the Pareto front of the two numbers in `options.pareto`, and has
`usual_front(selection)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..read.selection import Selection
from . import (
    base_vs_instruct,
    blending,
    characters,
    costs,
    hyperparameters,
    leaderboard,
    lora_vs_prompt_tuning,
    methods_over_models,
    pareto,
    personas,
    quantization,
    sampling,
)
from .options import TableOptions
from .table import Table


@dataclass(frozen=True)
class Entry:
    summary: str
    build: Callable[..., Table]
    applies: Callable[[Selection], bool] = lambda selection: True
    choice: bool = False
    several: bool = False
    boards: bool = False
    fronts: bool = False

    def make(self, selection: Selection, options: TableOptions) -> Table:
        """Build the table; options that it has no use for are left out."""
        table = self.build(selection, options) if self.choice or self.fronts else self.build(selection)
        if not (self.boards and options.against):
            return table
        from ..published.beside import beside

        return beside(table, options.against, selection)


TABLES: dict[str, Entry] = {
    "leaderboard": Entry(leaderboard.SUMMARY, leaderboard.build, choice=True, boards=True),
    "base-vs-instruct": Entry(
        base_vs_instruct.SUMMARY, base_vs_instruct.build, base_vs_instruct.applies, True, several=True, boards=True
    ),
    "lora-vs-prompt-tuning": Entry(
        lora_vs_prompt_tuning.SUMMARY, lora_vs_prompt_tuning.build, choice=True, several=True, boards=True
    ),
    "methods-over-models": Entry(
        methods_over_models.SUMMARY, methods_over_models.build, methods_over_models.applies, True, several=True
    ),
    "characters": Entry(characters.SUMMARY, characters.build, characters.applies, fronts=True),
    "blending": Entry(blending.SUMMARY, blending.build, blending.applies),
    "personas": Entry(personas.SUMMARY, personas.build, personas.applies),
    "quantization": Entry(quantization.SUMMARY, quantization.build, quantization.applies),
    "hyperparameters": Entry(hyperparameters.SUMMARY, hyperparameters.build, hyperparameters.applies),
    "pareto": Entry(pareto.SUMMARY, pareto.build, pareto.applies),
    "sampling": Entry(sampling.SUMMARY, sampling.build, sampling.applies, choice=True),
    "costs": Entry(costs.SUMMARY, costs.build),
}
"""Each table by the name that the command takes."""
