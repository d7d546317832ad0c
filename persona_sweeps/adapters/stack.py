"""The adapters of a group on one base model: row k of a batch sees the adapter of its own trial only."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import torch
from torch import Tensor
from transformers import PreTrainedModel

from persona_sweeps.adapters.lora import LoraSite, linear_layers
from persona_sweeps.adapters.prompt import place_prompts, stack_prompts
from persona_sweeps.adapters.weights import Adapter
from persona_sweeps.seeds import derive_seed
from persona_sweeps.training.batch import PackedBatch


class AdapterStack:
    """Hooks on the base model's layers, which are removed when the stack is closed (or leaves its `with` block)."""

    def __init__(self, model: PreTrainedModel, adapters: Sequence[Adapter]) -> None:
        self.model = model
        self.adapters = list(adapters)
        adapted = {path for adapter in adapters if adapter.lora for path in adapter.lora.pairs}
        self._sites = [LoraSite(path, layer) for path, layer in linear_layers(model).items() if path in adapted]
        self._prompts: Tensor | None = None
        self._stacked: tuple[int, ...] | None = None

    def stack(self, trials: Sequence[int]) -> None:
        """Stack the weights of these trials; they stay stacked until others are."""
        chosen = [self.adapters[trial] for trial in trials]
        if tuple(trials) != self._stacked:
            for site in self._sites:
                site.stack(chosen)
            self._stacked = tuple(trials)
        self._prompts = stack_prompts(chosen)

    def bind_gradients(self) -> None:
        """Give each stacked trial's parameters the gradients gathered since the last call."""
        for site in self._sites:
            site.bind_gradients()

    def route(self, slots: Tensor, keys: Tensor | None = None) -> None:
        """Send each row to its trial's weights; `keys` [R, L] name the tokens for dropout (None: no dropout)."""
        assert self._stacked is not None, "stack the trials first"
        identity = torch.equal(slots, torch.arange(len(self._stacked), device=slots.device))
        dropout = self._dropout(slots) if keys is not None else None
        for index, site in enumerate(self._sites):
            salted = (keys, self._salts(index, slots), dropout) if dropout is not None else None
            site.route(None if identity else slots, salted)  # type: ignore[arg-type]

    def embed(self, batch: PackedBatch) -> Tensor:
        """Return the token embeddings [R, L, hidden] of a batch, soft prompts in place."""
        return place_prompts(self.model.get_input_embeddings()(batch.tokens), self._prompts, batch)

    def close(self) -> None:
        for site in self._sites:
            site.handle.remove()
        self._sites = []

    def __enter__(self) -> AdapterStack:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _active(self) -> list[Adapter]:
        assert self._stacked is not None
        return [self.adapters[trial] for trial in self._stacked]

    def _dropout(self, slots: Tensor) -> Tensor | None:
        """Return the dropout probability of each row, or None when no trial here drops anything."""
        probabilities = [adapter.lora.dropout if adapter.lora else 0.0 for adapter in self._active()]
        if not any(probabilities):
            return None
        return torch.tensor(probabilities, device=slots.device)[slots]

    def _salts(self, site: int, slots: Tensor) -> Tensor:
        salts = [derive_seed(adapter.seed, "dropout", adapter.step, site) for adapter in self._active()]
        return torch.tensor(salts, device=slots.device)[slots]
