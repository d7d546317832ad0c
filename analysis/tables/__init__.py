"""The registry of tables: one module a table.

To add one, write a module with `SUMMARY` (one line for --help) and `build(selection) -> Table`; name it in `TABLES`.
Sections may have columns of their own and bring figures, whose kinds are the modules of `analysis.figures`.
A table that has nothing to say of most runs also has `applies(selection) -> bool`: it is made where that holds, or when
asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.records import Selection
from analysis.table import Table
from analysis.tables import hyperparameters, leaderboard, lora_vs_prompt_tuning, quantization


@dataclass(frozen=True)
class Entry:
    summary: str
    build: Callable[[Selection], Table]
    applies: Callable[[Selection], bool] = lambda selection: True


TABLES: dict[str, Entry] = {
    "leaderboard": Entry(leaderboard.SUMMARY, leaderboard.build),
    "lora-vs-prompt-tuning": Entry(lora_vs_prompt_tuning.SUMMARY, lora_vs_prompt_tuning.build),
    "quantization": Entry(quantization.SUMMARY, quantization.build, quantization.applies),
    "hyperparameters": Entry(hyperparameters.SUMMARY, hyperparameters.build, hyperparameters.applies),
}
"""Each table by the name that the command takes."""
