"""The engine: a group of one or more trials trained together, each as if it were alone.

Every step, each active trial contributes the rows of its own batch; one pass of the frozen base model serves them
all. A trial that is done, or fails, leaves the batch, and the others go on.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from persona_sweeps.adapters.stack import AdapterStack
from persona_sweeps.data.packing import PackedRow, TokenSequence, pack
from persona_sweeps.errors import TrialError
from persona_sweeps.training.batch import collate, split_passes
from persona_sweeps.training.forward import GroupForward
from persona_sweeps.training.memory import keep_freed_memory
from persona_sweeps.training.trial import ROW_NODES, Trial, with_virtual_tokens

PASS_NODES = 2048
"""places in one forward pass; more rows than fit take further passes, whose gradients add up"""

LogStep = Callable[[int, dict[str, float]], None]
"""called with a trial's index in the group and what its step gave"""


class Engine:
    """Trains and evaluates the trials of one group on one base model."""

    def __init__(
        self,
        model: PreTrainedModel,
        stack: AdapterStack,
        trials: Sequence[Trial],
        pass_nodes: int = PASS_NODES,
    ) -> None:
        self.forward = GroupForward(model, stack)
        self.stack = stack
        self.trials = list(trials)
        self.pass_nodes = pass_nodes
        self.device = model.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self._packed: dict[tuple[int, int], tuple[Sequence[TokenSequence], list[PackedRow]]] = {}

    def train(self, log_step: LogStep) -> None:
        """Train every trial to its last step; one that fails is marked with its failure and leaves alone."""
        while active := [index for index, trial in enumerate(self.trials) if trial.active]:
            for index, values in self._step(active).items():
                log_step(index, values)

    def _step(self, active: Sequence[int]) -> dict[int, dict[str, float]]:
        """Take one optimizer step of every active trial; return what each has to log."""
        losses = self._accumulate(active)
        logged: dict[int, dict[str, float]] = {}
        for index in active:
            trial = self.trials[index]
            try:
                logged[index] = trial.update(losses[index])
            except TrialError as error:
                trial.fail(error)
        self._evaluate_due(logged)
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
        """Gather the gradients of one step of each trial; return each trial's mean NLL over its step's labels."""
        steps = {index: self.trials[index].next_micro_batches() for index in active}
        labels = {index: count for index, (_, count) in steps.items()}
        sums = dict.fromkeys(active, 0.0)
        for micro in itertools.zip_longest(*(micro for micro, _ in steps.values()), fillvalue=()):
            rows = [(index, row) for index, packed in zip(steps, micro, strict=True) for row in packed]
            for chunk in split_passes(rows, self.pass_nodes):
                batch = collate(chunk, self.device, trials=active)
                shares = torch.tensor([1.0 / labels[index] for index in batch.trials], device=self.device)
                loss, nll = self.forward.loss(batch, shares[batch.label_slots])
                loss.backward()
                for index, value in _sum_by_slot(nll, batch.label_slots, batch.trials).items():
                    sums[index] += value
        self.stack.bind_gradients()
        return {index: sums[index] / labels[index] for index in active}

    def _evaluate_due(self, logged: dict[int, dict[str, float]]) -> None:
        due = [index for index in logged if self.trials[index].evaluation_due and self.trials[index].evaluation]
        for index, sums in self.evaluation_nll(due).items():
            trial = self.trials[index]
            nll = float(sums.sum()) / sum(len(sequence.tokens) - sequence.loss_from for sequence in trial.evaluation)
            trial.progress.eval_nll = logged[index]["eval_nll"] = nll
            best = trial.progress.best_eval_nll
            trial.progress.best_eval_nll = nll if best is None else min(best, nll)

    def evaluation_nll(self, indices: Sequence[int]) -> dict[int, np.ndarray]:
        """Return, for each of these trials, the summed NLL in nats of each of its evaluation sequences' labels."""
        return self.sequence_nll({index: self.trials[index].evaluation for index in indices})

    def sequence_nll(self, sequences: Mapping[int, Sequence[TokenSequence]]) -> dict[int, np.ndarray]:
        """Return the summed NLL in nats of each sequence's labels, by trial and by the sequence's `index`."""
        if not sequences:
            return {}
        indices = list(sequences)
        sums = {index: np.zeros(1 + max(s.index for s in chosen)) for index, chosen in sequences.items()}
        rows = [(index, row) for index, chosen in sequences.items() for row in self._rows(index, chosen)]
        self.stack.stack(indices)
        for chunk in split_passes(rows, self.pass_nodes):
            batch = collate(chunk, self.device, trials=indices)
            nll = self.forward.nll(batch).double().cpu().numpy()
            slots, examples = batch.label_slots.cpu().numpy(), batch.label_examples.cpu().numpy()
            for slot, index in enumerate(indices):
                of_trial = slots == slot
                np.add.at(sums[index], examples[of_trial], nll[of_trial])
        return sums

    def _rows(self, index: int, sequences: Sequence[TokenSequence]) -> list[PackedRow]:
        """Pack sequences for a trial; trials with the same sequences and as many virtual tokens share the rows."""
        virtual = self.trials[index].adapter.virtual_tokens
        key = (id(sequences), virtual)
        if key not in self._packed:
            rows = pack([with_virtual_tokens(s, virtual) for s in sequences], ROW_NODES)
            # The sequences are kept too: an id is theirs for as long as they live.
            self._packed[key] = sequences, rows
        return self._packed[key][1]


def _sum_by_slot(values: torch.Tensor, slots: torch.Tensor, trials: Sequence[int]) -> dict[int, float]:
    sums = torch.zeros(len(trials), dtype=torch.float64, device=values.device)
    sums.index_add_(0, slots, values.double())
    return dict(zip(trials, sums.tolist(), strict=True))
