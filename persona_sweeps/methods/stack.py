"""The adapters of a group on one base model: row k of a batch sees the adapter of its own trial only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from persona_sweeps.methods.full import FullSite
from persona_sweeps.methods.ia3 import Ia3Site
from persona_sweeps.methods.lora import LoraSite
from persona_sweeps.methods.prefix import prefixed_layout, stack_prefixes
from persona_sweeps.methods.prompt import place_prompts, stack_prompts
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.attention import Layout
from persona_sweeps.models.batch import PackedBatch
from persona_sweeps.models.layers import linear_layers
from persona_sweeps.seeds import derive_seed


class Site(Protocol):
    """A place in the base model where adapters act."""

    path: str
    device: torch.device
    """where it computes, and where what it is routed has to be"""

    def stack(self, adapters: Sequence[Adapter]) -> None:
        """Take the weights of these trials."""

    def refresh(self) -> None:
        """Take note that the weights may have changed."""

    def bind_gradients(self) -> None:
        """Give each trial's parameters the gradients gathered since the last call."""

    def route(self, slots: Tensor | None, dropout: tuple[Tensor, Tensor, Tensor] | None) -> None:
        """Say which stacked trial each row takes (None: row k takes trial k), and the keys, salts and p of dropout."""

    def close(self) -> None:
        """Leave the model as it was."""


SITES: dict[str, Callable[[str, nn.Module], Site]] = {
    "lora": LoraSite,
    "outputs": partial(Ia3Site, of_inputs=False),
    "inputs": partial(Ia3Site, of_inputs=True),
}
"""what acts on a linear layer"""


class AdapterStack:
    """Hooks on the base model's layers, which are removed when the stack is closed (or leaves its `with` block).

    A trial that trains the model's own weights must be alone: ValueError otherwise.
    """

    def __init__(self, model: PreTrainedModel, adapters: Sequence[Adapter]) -> None:
        self.model = model
        self.adapters = list(adapters)
        self._hooked: set[tuple[str, str]] = set()
        self._sites = self._new_sites(self.adapters)
        self._prompts: Tensor | None = None
        self._prefixes: Tensor | None = None
        self._stacked: tuple[int, ...] | None = None

    def stack(self, trials: Sequence[int]) -> None:
        """Stack the weights of these trials as they are now; they stay stacked until others are."""
        chosen = [self.adapters[trial] for trial in trials]
        if tuple(trials) != self._stacked:
            self._stacked = None  # should memory run out halfway, nothing counts as stacked
            for site in self._sites:
                site.stack(chosen)
            self._stacked = tuple(trials)
        for site in self._sites:
            site.refresh()
        self._prompts = stack_prompts(chosen)
        self._prefixes = stack_prefixes(chosen)

    def add(self, adapter: Adapter) -> int:
        """Take in one more adapter and return its index; it may act on layers that none has acted on.

        Raises ValueError as above.
        """
        self.adapters.append(adapter)
        self._sites += self._new_sites([adapter])
        return len(self.adapters) - 1

    def replace(self, index: int, adapter: Adapter) -> None:
        """Let another adapter, such as an empty one, have the place of one that is no longer used."""
        self.adapters[index] = adapter
        self._stacked = None

    def bind_gradients(self) -> None:
        """Give each stacked trial's parameters the gradients gathered since the last call."""
        for site in self._sites:
            site.bind_gradients()

    def route(self, slots: Tensor, keys: Tensor | None = None) -> None:
        """Send each row to its trial's weights; `keys` [R, L] name the tokens for dropout (None: no dropout)."""
        assert self._stacked is not None, "stack the trials first"
        identity = torch.equal(slots, torch.arange(len(self._stacked), device=slots.device))
        dropout = self._dropout(slots) if keys is not None else None
        devices = {site.device for site in self._sites}
        slots_on = {device: slots.to(device) for device in devices}
        dropped_on = {}
        if keys is not None and dropout is not None:
            dropped_on = {device: (keys.to(device), dropout.to(device)) for device in devices}
        for site in self._sites:
            own, salted = slots_on[site.device], None
            if site.device in dropped_on:
                own_keys, own_dropout = dropped_on[site.device]
                salted = own_keys, self._salts(site.path, own), own_dropout
            site.route(None if identity else own, salted)

    def embed(self, batch: PackedBatch) -> Tensor:
        """Return the token embeddings [R, L, hidden] of a batch on its device, soft prompts in place."""
        embeddings = self.model.get_input_embeddings()(batch.tokens).to(batch.tokens.device)
        return place_prompts(embeddings, self._prompts, self._active(), batch)

    def layout(self, batch: PackedBatch) -> Layout:
        """Return the batch's layout, prefixes in place."""
        if self._prefixes is None:
            return batch.layout
        return prefixed_layout(self._prefixes, self._active(), batch)

    def close(self) -> None:
        for site in self._sites:
            site.close()
        self._sites = []

    def __enter__(self) -> AdapterStack:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _new_sites(self, adapters: Sequence[Adapter]) -> list[Site]:
        """Hook the layers that any of these adapters acts on and no site is at."""
        full = [adapter.full for adapter in adapters if adapter.full is not None]
        if len(self.adapters) > 1 and any(adapter.full is not None for adapter in self.adapters):
            raise ValueError("a trial that trains the model's own weights can't share them: run it alone")
        sites: list[Site] = [FullSite(self.model, weights) for weights in full]
        acted_on = {
            "lora": {path for adapter in adapters if adapter.lora for path in adapter.lora.pairs},
            "outputs": {path for adapter in adapters if adapter.ia3 for path in adapter.ia3.outputs},
            "inputs": {path for adapter in adapters if adapter.ia3 for path in adapter.ia3.inputs},
        }
        for path, layer in linear_layers(self.model).items():
            for kind, make in SITES.items():
                if path in acted_on[kind] and (kind, path) not in self._hooked:
                    self._hooked.add((kind, path))
                    sites.append(make(path, layer))
        return sites

    def _active(self) -> list[Adapter]:
        assert self._stacked is not None
        return [self.adapters[trial] for trial in self._stacked]

    def _dropout(self, slots: Tensor) -> Tensor | None:
        """Return the dropout probability of each row, or None when no trial here drops anything."""
        probabilities = [adapter.lora.dropout if adapter.lora else 0.0 for adapter in self._active()]
        if not any(probabilities):
            return None
        return torch.tensor(probabilities, device=slots.device)[slots]

    def _salts(self, path: str, slots: Tensor) -> Tensor:
        salts = [derive_seed(adapter.seed, "dropout", adapter.step, path) for adapter in self._active()]
        return torch.tensor(salts, device=slots.device)[slots]
