"""The engine: a group of one or more trials trained together, each as if it were alone.

Every step, each active trial contributes the rows of its own batch; one pass of the frozen base model serves them
all. A trial that is done, or fails, leaves the batch, and the others go on.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from persona_sweeps.adapters.stack import AdapterStack
from persona_sweeps.data.packing import PackedRow, TokenSequence, pack
from persona_sweeps.errors import TrialError
from persona_sweeps.training.batch import collate, split_passes
from persona_sweeps.training.forward import GroupForward
from persona_sweeps.training.trial import ROW_NODES, Trial, with_virtual_tokens

PASS_NODES = 8192
"""places in one forward pass; more rows than fit take further passes, whose gradients add up"""

LogStep = Callable[[int, dict[str, float]], None]
"""called with a trial's index in the group and what its step gave"""


class Engine:
    """Trains and evaluates the trials of one group on one base model.

    `evaluation` are the evaluation sequences that all trials share, without virtual tokens.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        stack: AdapterStack,
        trials: Sequence[Trial],
        evaluation: Sequence[TokenSequence],
        pass_nodes: int = PASS_NODES,
    ) -> None:
        self.forward = GroupForward(model, stack)
        self.stack = stack
        self.trials = list(trials)
        self.evaluation = evaluation
        self.pass_nodes = pass_nodes
        self.device = model.device
        self._evaluation_rows: dict[int, list[PackedRow]] = {}

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
                batch = collate(chunk, self.device)
                shares = torch.tensor([1.0 / labels[index] for index in batch.trials], device=self.device)
                loss, nll = self.forward.loss(batch, shares[batch.label_slots])
                loss.backward()
                for index, value in _sum_by_slot(nll, batch.label_slots, batch.trials).items():
                    sums[index] += value
        return {index: sums[index] / labels[index] for index in active}

    def _evaluate_due(self, logged: dict[int, dict[str, float]]) -> None:
        due = [index for index in logged if self.trials[index].evaluation_due]
        if not due or not self.evaluation:
            return
        labels = sum(len(sequence.tokens) - sequence.loss_from for sequence in self.evaluation)
        for index, sums in self.evaluation_nll(due).items():
            progress = self.trials[index].progress
            progress.eval_nll = float(sums.sum()) / labels
            best = progress.best_eval_nll
            progress.best_eval_nll = progress.eval_nll if best is None else min(best, progress.eval_nll)
            logged[index]["eval_nll"] = progress.eval_nll

    def evaluation_nll(self, indices: Sequence[int], sequences: Sequence[TokenSequence] | None = None) -> dict:
        """Return, for each of these trials, the summed NLL in nats of each evaluation sequence's labels."""
        chosen = self.evaluation if sequences is None else sequences
        count = 1 + max(sequence.index for sequence in chosen)
        sums = {index: np.zeros(count) for index in indices}
        rows = [(index, row) for index in indices for row in self._rows(index, sequences)]
        self.stack.stack(indices)
        for chunk in split_passes(rows, self.pass_nodes):
            batch = collate(chunk, self.device, trials=indices)
            nll = self.forward.nll(batch).double().cpu().numpy()
            slots, examples = batch.label_slots.cpu().numpy(), batch.label_examples.cpu().numpy()
            for slot, index in enumerate(indices):
                of_trial = slots == slot
                np.add.at(sums[index], examples[of_trial], nll[of_trial])
        return sums

    def _rows(self, index: int, sequences: Sequence[TokenSequence] | None) -> list[PackedRow]:
        """Return packed evaluation rows for a trial; trials with as many virtual tokens share them."""
        virtual = self.trials[index].adapter.virtual_tokens
        if sequences is not None:
            return pack([with_virtual_tokens(sequence, virtual) for sequence in sequences], ROW_NODES)
        if virtual not in self._evaluation_rows:
            shifted = [with_virtual_tokens(sequence, virtual) for sequence in self.evaluation]
            self._evaluation_rows[virtual] = pack(shifted, ROW_NODES)
        return self._evaluation_rows[virtual]


def _sum_by_slot(values: torch.Tensor, slots: torch.Tensor, trials: Sequence[int]) -> dict[int, float]:
    sums = torch.zeros(len(trials), dtype=torch.float64, device=values.device)
    sums.index_add_(0, slots, values.double())
    return dict(zip(trials, sums.tolist(), strict=True))
