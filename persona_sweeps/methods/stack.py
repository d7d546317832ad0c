"""Apply the adapters of a group on one base model: each row of a batch uses the adapter of its own trial."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import torch
from torch import Tensor
from transformers import PreTrainedModel

from persona_sweeps.methods.full_weights import FullHook
from persona_sweeps.methods.prefix import prefixed_layout, stack_prefixes
from persona_sweeps.methods.soft_prompt import insert_prompts, stack_prompts
from persona_sweeps.methods.weights import Adapter, Hook, MakeHook
from persona_sweeps.models.attention import Layout
from persona_sweeps.models.batch import PackedBatch
from persona_sweeps.models.layers import linear_layers
from persona_sweeps.models.transfer import on_device
from persona_sweeps.seeds import derive_seed


class AdapterStack:
    """Adapters applied by hooks on the base model's layers; closing the stack (or leaving its `with`) removes them.

    Raises ValueError if a trial that trains the model's own weights would share it with others.
    """

    def __init__(self, model: PreTrainedModel, adapters: Sequence[Adapter]) -> None:
        self.model = model
        self.adapters = list(adapters)
        self._hooked: set[tuple[MakeHook, str]] = set()
        self.hooks = self._new_hooks(self.adapters)
        self._prompts: Tensor | None = None
        self._prefixes: Tensor | None = None
        self._stacked: tuple[int, ...] | None = None
        self.version = 0
        """how often other trials were stacked: what was recorded with an earlier version reads other memory"""
        self._probabilities: Tensor | None = None
        self._salts: Tensor | None = None
        self._salted: tuple[int, ...] = ()
        """the steps whose salts these are"""

    def stack(self, trials: Sequence[int]) -> None:
        """Stack the current weights of these trials; they stay stacked until other trials are."""
        chosen = [self.adapters[trial] for trial in trials]
        if tuple(trials) != self._stacked:
            self._stacked = None  # if memory runs out halfway, nothing counts as stacked
            for hook in self.hooks:
                hook.stack(chosen)
            self._stacked = tuple(trials)
            self.version += 1
            self._probabilities, self._salts, self._salted = self._drop_probabilities(chosen), None, ()
        for hook in self.hooks:
            hook.refresh()
        self._prompts = stack_prompts(chosen)
        self._prefixes = stack_prefixes(chosen)

    def add(self, adapter: Adapter) -> int:
        """Add an adapter and return its index; it may act on layers that no other adapter acts on.

        Raises ValueError as the class does.
        """
        self.adapters.append(adapter)
        new = self._new_hooks([adapter])
        self.hooks += new
        if new:
            self._stacked = None  # the new hooks have nothing stacked
        return len(self.adapters) - 1

    def replace(self, index: int, adapter: Adapter) -> None:
        """Replace an adapter that is no longer used with another one, such as an empty one."""
        self.adapters[index] = adapter
        self._stacked = None

    @property
    def acts_on_layers_only(self) -> bool:
        """Whether the stacked trials have adapters at layers, and nothing else."""
        return all(part.prompt is None and part.prefix is None and part.full is None for part in self._active())

    def zero_gradients(self) -> None:
        """Accumulate from zero, in the same memory each time; without this, in new memory."""
        leaves = [part for hook in self.hooks for part in hook.stacks()]
        if leaves:
            torch._foreach_zero_([part.reused_gradient() for part in leaves])

    def bind_gradients(self) -> None:
        """Give each stacked trial's parameters the gradients accumulated since the last call."""
        for hook in self.hooks:
            hook.bind_gradients()

    def route(self, row_trials: Tensor, keys: Tensor | None = None, *, one_row_each: bool = False) -> None:
        """Assign rows to stacked trials, by index [R]; `keys` [R, L] identify tokens for dropout (None: no dropout).

        `one_row_each` says that row k is the only one of trial k, and that each trial has one.
        """
        assert self._stacked is not None, "stack the trials first"
        devices = {hook.device for hook in self.hooks}
        row_trials_on = {device: row_trials.to(device) for device in devices}
        dropout_on = {}
        if keys is not None and self._probabilities is not None:
            self.salt()
            assert self._salts is not None
            salts, dropout = self._salts[:, row_trials], self._probabilities[row_trials]
            dropout_on = {device: (keys.to(device), salts.to(device), dropout.to(device)) for device in devices}
        for index, hook in enumerate(self.hooks):
            keyed = None
            if dropout_on:
                hook_keys, hook_salts, probabilities = dropout_on[hook.device]
                keyed = hook_keys, hook_salts[index], probabilities
            hook.route(None if one_row_each else row_trials_on[hook.device], keyed)

    def salt(self) -> None:
        """Have the stacked trials drop what their present steps drop; what was recorded reads it where it stands."""
        steps = tuple(adapter.step for adapter in self._active())
        if self._probabilities is None or steps == self._salted:
            return
        salts = [
            [derive_seed(adapter.seed, "dropout", adapter.step, hook.path) for adapter in self._active()]
            for hook in self.hooks
        ]
        new = on_device(torch.tensor(salts, dtype=torch.int64), self.model.device)
        self._salts = new if self._salts is None else self._salts.copy_(new)
        self._salted = steps

    def embed(self, batch: PackedBatch) -> Tensor:
        """Return the token embeddings [R, L, hidden] of a batch on its device, with soft prompts inserted."""
        embeddings = self.model.get_input_embeddings()(batch.tokens).to(batch.tokens.device)
        return insert_prompts(embeddings, self._prompts, self._active(), batch)

    def layout(self, batch: PackedBatch) -> Layout:
        """Return the batch's layout, with prefixes inserted."""
        if self._prefixes is None:
            return batch.layout
        return prefixed_layout(self._prefixes, self._active(), batch)

    def close(self) -> None:
        for hook in self.hooks:
            hook.close()
        self.hooks = []

    def __enter__(self) -> AdapterStack:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _new_hooks(self, adapters: Sequence[Adapter]) -> list[Hook]:
        """Make hooks for the layers that these adapters act on, unless they have such a hook already."""
        if len(self.adapters) > 1 and any(adapter.full is not None for adapter in self.adapters):
            raise ValueError("a trial that trains the model's own weights can't share them with others: run it solo")
        hooks: list[Hook] = [FullHook(self.model, adapter.full) for adapter in adapters if adapter.full is not None]
        wanted = [hook for adapter in adapters for part in adapter.on_layers() for hook in part.hooks()]
        new = set(wanted) - self._hooked
        kinds = dict.fromkeys(make for make, _ in wanted)
        for path, layer in linear_layers(self.model).items():
            hooks += [make(path, layer) for make in kinds if (make, path) in new]
        self._hooked |= new
        return hooks

    def _active(self) -> list[Adapter]:
        assert self._stacked is not None
        return [self.adapters[trial] for trial in self._stacked]

    def _drop_probabilities(self, adapters: Sequence[Adapter]) -> Tensor | None:
        """Return the dropout probability of each trial, or None if none uses dropout."""
        probabilities = [adapter.dropout for adapter in adapters]
        return on_device(torch.tensor(probabilities), self.model.device) if any(probabilities) else None
