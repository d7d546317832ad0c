"""The engine: a group of one or more trials trained together, each as if it were alone.

Every step, each active trial contributes the rows of its own batch; one pass of the frozen base model serves them
all. A trial that is done, or fails, leaves the batch, and the others go on.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from transformers import PreTrainedModel

from persona_sweeps.data.packing import PackedRow, TokenSequence, pack
from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.batch import collate, split_passes
from persona_sweeps.training.limits import Extent, Limits, Rows, Tell, in_one_pass
from persona_sweeps.training.memory import HeapWatch, is_out_of_memory, keep_freed_memory
from persona_sweeps.training.trial import ROW_NODES, Trial, with_virtual_tokens

LogStep = Callable[[int, dict[str, float]], None]
"""called with a trial's index in the group and what its step gave"""


class Engine:
    """Trains and evaluates the trials of one group on one base model."""

    def __init__(
        self,
        model: PreTrainedModel,
        stack: AdapterStack,
        trials: Sequence[Trial],
        limits: Limits | None = None,
        tell: Tell = lambda sentence: None,
    ) -> None:
        """`limits` may come from earlier trials of this base model; `tell` hears when memory lowers them."""
        self.forward = GroupForward(model, stack)
        self.stack = stack
        self.trials = dict(enumerate(trials))
        """what trains, by the index of its adapter in the stack"""
        self.limits = limits if limits is not None else Limits()
        self.tell = tell
        self.device = model.device
        self._heap = HeapWatch() if self.device.type == "cpu" and keep_freed_memory() else None
        self._packed: dict[tuple[int, int, int | None], tuple[Sequence[TokenSequence], list[PackedRow]]] = {}

    def train(self, log_step: LogStep) -> None:
        """Train every trial to its last step; one that fails is marked with its failure and leaves alone."""
        while self.active:
            for index, values in self.step().items():
                log_step(index, values)

    def add(self, trial: Trial) -> int:
        """Let a trial join those in training, and return its index; it is trained as it would be solo."""
        index = self.stack.add(trial.adapter)
        self.trials[index] = trial
        return index

    def answer(self, adapter: Adapter) -> int:
        """Let an adapter answer prompts beside the trials, and return its index; nothing of it is trained."""
        return self.stack.add(adapter)

    def retire(self, index: int) -> None:
        """Let go of all that a trial that has ended holds; its index isn't given to another."""
        self.trials[index].retire()
        self.stack.replace(index, self.trials.pop(index).adapter)

    @property
    def active(self) -> list[int]:
        """The trials that have steps left."""
        return [index for index, trial in self.trials.items() if trial.active]

    def step(self) -> dict[int, dict[str, float]]:
        """Take one optimizer step of every active trial; return what each has to log.

        One that fails is marked with its failure, and logs nothing.
        """
        active = self.active
        losses = self._accumulate(active)
        logged: dict[int, dict[str, float]] = {}
        for index in active:
            trial = self.trials[index]
            try:
                logged[index] = trial.update(losses[index])
            except Exception as error:
                if is_out_of_memory(error):
                    raise  # alone, it may fit
                trial.fail(error)
        self._evaluate_due(logged)
        if self._heap is not None:
            self._heap.after_step()
        for index, values in logged.items():
            trial = self.trials[index]
            values |= {
                "step": trial.progress.step,
                "epoch": trial.epoch,
                "tokens": trial.progress.tokens,
                "seconds": time.perf_counter() - trial.started,
            }
        return logged

    def _accumulate(self, active: Sequence[int]) -> dict[int, float]:
        """Gather the gradients of one step of each trial; return each trial's mean NLL over its step's labels.

        Raises DoesNotFit when a single example is too much for the memory.
        """
        examples = {index: self.trials[index].next_examples() for index in active}
        gather = partial(self._gather, examples)
        return self.limits.training.fit(gather, self.tell, undo=self._drop_gradients)

    def _gather(self, examples: Mapping[int, Sequence[TokenSequence]]) -> dict[int, float]:
        """Do what `_accumulate` says within the limits as they are. Raises PassOutOfMemory."""
        limit = self.limits.training
        micro = {index: self.trials[index].micro_batches(chosen, limit.examples) for index, chosen in examples.items()}
        labels = {index: sum(len(s.tokens) - s.loss_from for s in chosen) for index, chosen in examples.items()}
        sums = dict.fromkeys(examples, 0.0)
        # Not within a pass: what it takes has nothing to do with how the pass is divided.
        self.stack.stack(list(examples))
        for at_once in itertools.zip_longest(*micro.values(), fillvalue=()):
            rows = [(index, row) for index, packed in zip(micro, at_once, strict=True) for row in packed]
            for chunk in split_passes(rows, limit.places):
                found = in_one_pass(partial(self._backward, chunk, labels), Extent.of(chunk))
                for index, nll in found.items():
                    sums[index] += nll
        self.stack.bind_gradients()
        for index, chosen in examples.items():
            self.trials[index].count(chosen, micro[index], limit.examples)
        return {index: sums[index] / labels[index] for index in examples}

    def _backward(self, rows: Rows, labels: Mapping[int, int]) -> dict[int, float]:
        """Add one pass's gradients to those gathered; return each trial's summed NLL. `labels` are of whole steps."""
        batch = collate(rows, self.device, trials=list(labels))
        shares = torch.tensor([1.0 / count for count in labels.values()], device=self.device)
        loss, nll = self.forward.loss(batch, shares[batch.label_slots])
        loss.backward()
        return _sum_by_slot(nll, batch.label_slots, batch.trials)

    def _drop_gradients(self) -> None:
        """Forget what a step that ran out of memory had gathered: on the stacks, and on the trials' own parameters."""
        self.stack.bind_gradients()
        for trial in self.trials.values():
            for parameter in trial.parameters:
                parameter.grad = None

    def _evaluate_due(self, logged: dict[int, dict[str, float]]) -> None:
        due = [index for index in logged if self.trials[index].evaluation_due and self.trials[index].evaluation]
        for index, sums in self.evaluation_nll(due).items():
            trial = self.trials[index]
            nll = float(sums.sum()) / sum(len(sequence.tokens) - sequence.loss_from for sequence in trial.evaluation)
            trial.progress.eval_nll = logged[index]["eval_nll"] = nll
            trial.progress.eval_items = sums
            best = trial.progress.best_eval_nll
            trial.progress.best_eval_nll = nll if best is None else min(best, nll)

    def evaluation_nll(self, indices: Sequence[int]) -> dict[int, np.ndarray]:
        """Return, for each of these trials, the summed NLL in nats of each of its evaluation sequences' labels."""
        return self.sequence_nll({index: self.trials[index].evaluation for index in indices})

    def sequence_nll(self, sequences: Mapping[int, Sequence[TokenSequence]]) -> dict[int, np.ndarray]:
        """Return the summed NLL in nats of each sequence's labels, by trial and by the sequence's `index`.

        Raises DoesNotFit when a single sequence is too much for the memory.
        """
        return self.limits.scoring.fit(partial(self._score, sequences), self.tell) if sequences else {}

    def _score(self, sequences: Mapping[int, Sequence[TokenSequence]]) -> dict[int, np.ndarray]:
        """Do what `sequence_nll` says within the limits as they are. Raises PassOutOfMemory."""
        indices = list(sequences)
        sums = {index: np.zeros(1 + max(s.index for s in chosen)) for index, chosen in sequences.items()}
        rows = [(index, row) for index, chosen in sequences.items() for row in self._rows(index, chosen)]
        self.stack.stack(indices)
        for chunk in split_passes(rows, self.limits.scoring.places):
            slots, examples, nll = in_one_pass(partial(self._label_nll, chunk, indices), Extent.of(chunk))
            for slot, index in enumerate(indices):
                of_trial = slots == slot
                np.add.at(sums[index], examples[of_trial], nll[of_trial])
        return sums

    def _label_nll(self, rows: Rows, stacked: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return for each label of a pass the place of its trial in `stacked`, its example, and its NLL."""
        batch = collate(rows, self.device, trials=stacked)
        nll = self.forward.nll(batch).double().cpu().numpy()
        return batch.label_slots.cpu().numpy(), batch.label_examples.cpu().numpy(), nll

    def _rows(self, index: int, sequences: Sequence[TokenSequence]) -> list[PackedRow]:
        """Pack sequences for a trial; trials with the same sequences and as many virtual tokens share the rows."""
        virtual, most = self.stack.adapters[index].virtual_tokens, self.limits.scoring.examples
        key = (id(sequences), virtual, most)
        if key not in self._packed:
            own = sorted((with_virtual_tokens(s, virtual) for s in sequences), key=lambda s: s.tokens)
            # Neighbours in this order share the most.
            size = most or max(1, len(own))
            rows = [row for start in range(0, len(own), size) for row in pack(own[start : start + size], ROW_NODES)]
            # The sequences are kept too: an id is theirs for as long as they live.
            self._packed[key] = sequences, rows
        return self._packed[key][1]


def _sum_by_slot(values: torch.Tensor, slots: torch.Tensor, trials: Sequence[int]) -> dict[int, float]:
    sums = torch.zeros(len(trials), dtype=torch.float64, device=values.device)
    sums.index_add_(0, slots, values.double())
    return dict(zip(trials, sums.tolist(), strict=True))
