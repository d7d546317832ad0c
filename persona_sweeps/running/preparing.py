"""Prepare the data of runs for the engine; data that several runs share are prepared and reported once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from persona_sweeps.data import corpus_of
from persona_sweeps.planning.cells import Cell, Stage
from persona_sweeps.planning.console import Console

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from persona_sweeps.config.schema import ModelConfig
    from persona_sweeps.data.store import PreparedData
    from persona_sweeps.running.group_run import GroupData


class Tokenizers:
    """The tokenizers of a plan, each loaded once, and the data that they prepare."""

    def __init__(self) -> None:
        self._loaded: dict[str, tuple[PreTrainedTokenizerBase, str]] = {}

    def get(self, card: ModelConfig) -> tuple[PreTrainedTokenizerBase, str]:
        """Return a card's tokenizer and its fingerprint."""
        from persona_sweeps.models.loading import load_tokenizer, tokenizer_fingerprint

        if str(card) not in self._loaded:
            tokenizer = load_tokenizer(card)
            self._loaded[str(card)] = tokenizer, tokenizer_fingerprint(card, tokenizer)
        return self._loaded[str(card)]

    def prepared(self, cell: Cell) -> PreparedData:
        from persona_sweeps.data.prepare import prepare

        return prepare(cell.config, *self.get(cell.config.model))


class Preparer:
    """Tokenizes the data of runs, and keeps the results; runs with the same data share them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tokenizers = Tokenizers()
        self._shared: dict[int, GroupData] = {}
        self._reported: set[str] = set()

    def all(self, cells: Sequence[Cell]) -> None:
        """Prepare the data of all these runs, and report which examples were left out."""
        from persona_sweeps.running.group_run import GroupData

        users: dict[int, list[Cell]] = {}
        for cell in cells:
            if not cell.config.peft.has_model or cell.stage is Stage.score:
                continue  # nothing to tokenize
            prepared = self._tokenizers.prepared(cell)
            if id(prepared) not in self._shared:
                self._shared[id(prepared)] = GroupData(prepared)
                users[id(prepared)] = []
            if id(prepared) in users:
                users[id(prepared)].append(cell)
        for key, sharing in users.items():
            data = self._shared[key].prepared
            total = len(data.train) + len(data.eval) + sum(data.dropped.values())
            self._console.dropped(sharing, data.dropped, str(total))
            self._report_shots(sharing, data)
            self._report_system(sharing[0])

    def _report_shots(self, cells: Sequence[Cell], data: PreparedData) -> None:
        """Report how many solved examples each prompt has, if it has any."""
        configured = getattr(cells[0].config.peft, "shots", None)
        if not data.shots or configured is None:
            return
        used, fewer = data.shots["shots"], data.shots.get("fewer_shots", 0)
        message = f"{cells[0].name}: {used} solved examples stand before each prompt"
        if used < configured:
            message += f", not {configured}, with which the longest wouldn't fit in the model's context"
        if fewer:
            message += f"; {fewer} of {len(data.eval)} have fewer, since their persona has no more training examples"
        self._console.note(f"{message}.")

    def _report_system(self, cell: Cell) -> None:
        """Report the system message that the model's template puts before prompts for which nobody wrote one."""
        from persona_sweeps.data.inspection.own_system import own_system_note

        source, name = cell.config.dataset, cell.config.model.name
        if source.template == "raw" or name in self._reported:
            return
        tokenizer, _ = self._tokenizers.get(cell.config.model)
        if note := own_system_note(name, tokenizer, corpus_of(cell.config).train):
            self._reported.add(name)
            self._console.note(note)

    def __call__(self, cell: Cell) -> GroupData:
        """Return a run's data; prepare them if needed."""
        self.all([cell])
        return self._shared[id(self._tokenizers.prepared(cell))]
