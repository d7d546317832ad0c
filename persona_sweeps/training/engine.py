"""The engine trains a group of one or more trials together, each with the result that it would have solo.

At every step, each active trial contributes the rows of its own batch, and one pass of the frozen base model serves all
of them. A trial that finishes or fails leaves the batch; the others go on.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from persona_sweeps.data.packing import PackedRow, TokenSequence, pack
from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.batch import PackedBatch, collate, host_batch, split_passes
from persona_sweeps.models.transfer import on_device
from persona_sweeps.training.gpu import GpuWork
from persona_sweeps.training.limits import Limits, Note, PassExtent, Rows, in_one_pass
from persona_sweeps.training.memory import HeapWatch, is_out_of_memory, keep_freed_memory
from persona_sweeps.training.recording import PADDING, CudaTape, Recorder, Tape, can_record
from persona_sweeps.training.trial import ROW_TOKEN_SLOTS, Trial, Unit, with_virtual_tokens

Answered = Callable[[str, int, int, str], None]
"""called with what is computed, how many of how many are, and their unit"""
LogStep = Callable[[int, dict[str, float]], None]
"""called with a trial's index in the group and the values of its step"""


class Engine:
    """Trains and evaluates the trials of one group on one base model."""

    def __init__(
        self,
        model: PreTrainedModel,
        stack: AdapterStack,
        trials: Sequence[Trial],
        limits: Limits | None = None,
        note: Note = lambda sentence: None,
        answered: Answered = lambda what, done, total, unit: None,
        records: bool = True,
    ) -> None:
        """Hook the stack's adapters to the model.

        `limits` may come from earlier trials of this base model; `note` is called when lack of memory lowers them, and
        `answered` with how much of what is asked has been computed. `records` lets a GPU replay recorded passes.
        """
        self.forward = GroupForward(model, stack)
        self.stack = stack
        self.trials = dict(enumerate(trials))
        """the trials, by the index of their adapters in the stack"""
        self.limits = limits if limits is not None else Limits()
        self.note = note
        self.answered = answered
        self.device = model.device
        self._heap = HeapWatch() if self.device.type == "cpu" and keep_freed_memory() else None
        self.new_tape: Callable[[], Tape] | None = None
        """makes the means of recording, where the device has any"""
        if records and self.device.type == "cuda":
            self.new_tape = partial(CudaTape, self.device)
        self.working = GpuWork(self.device)
        self._recorder: Recorder | None = None
        self._recordable = 0
        """the version of the stack for which it was chosen"""
        self._packed: dict[tuple[int, int, int | None], tuple[Sequence[TokenSequence], list[PackedRow]]] = {}

    def train(self, log_step: LogStep) -> None:
        """Train every trial to its last step; a trial that fails keeps its failure, and the others go on."""
        while self.active:
            for index, values in (*self.start().items(), *self.step().items()):
                log_step(index, values)

    def add(self, trial: Trial) -> int:
        """Add a trial to those in training, and return its index; its result is the same as solo."""
        index = self.stack.add(trial.adapter)
        self.trials[index] = trial
        return index

    def answer(self, adapter: Adapter) -> int:
        """Add an adapter that only answers prompts, and return its index."""
        return self.stack.add(adapter)

    def dismiss(self, index: int) -> None:
        """Free the memory of an adapter that has answered; its index isn't used again."""
        self.stack.replace(index, Adapter())

    def retire(self, index: int) -> None:
        """Free the memory of a finished trial; its index isn't used again."""
        self.trials[index].retire()
        self.stack.replace(index, self.trials.pop(index).adapter)

    @property
    def active(self) -> list[int]:
        """The indices of the trials that have steps left."""
        return [index for index, trial in self.trials.items() if trial.active]

    def start(self) -> dict[int, dict[str, float]]:
        """Evaluate the trials that are to be evaluated before their first step; return the values to log, by trial."""
        due = [index for index in self.active if self.trials[index].start_evaluation_due]
        logged = {index: {"eval_nll": self.trials[index].evaluated(s)} for index, s in self.evaluation_nll(due).items()}
        return {index: values | self._counters(index) for index, values in logged.items()}

    def _counters(self, index: int) -> dict[str, float]:
        trial = self.trials[index]
        return {
            "step": trial.progress.step,
            "epoch": trial.epoch,
            "tokens": trial.progress.tokens,
            "seconds": time.perf_counter() - trial.started,
        }

    def step(self) -> dict[int, dict[str, float]]:
        """Take one optimizer step of every active trial; return the values to log, by trial.

        A trial that fails keeps its failure, and has no values.
        """
        active = self.active
        with self.working():
            logged = self._step(active) if active else {}
            self._evaluate_due(logged)
        if self._heap is not None:
            self._heap.after_step()
        return {index: values | self._counters(index) for index, values in logged.items()}

    def _step(self, active: Sequence[int]) -> dict[int, dict[str, float]]:
        losses = self._accumulate(active)
        norms = [self.trials[index].clip_gradients().to(self.device) for index in active]
        # The host waits for the device here, and nowhere else in a step.
        read = torch.stack([torch.stack([losses[index] for index in active]), torch.stack(norms)], dim=1).tolist()
        logged: dict[int, dict[str, float]] = {}
        for index, (loss, norm) in zip(active, read, strict=True):
            trial = self.trials[index]
            try:
                logged[index] = trial.update(loss, norm)
            except Exception as error:
                if is_out_of_memory(error):
                    raise  # it may fit solo
                trial.fail(error)
        return logged

    def _accumulate(self, active: Sequence[int]) -> dict[int, Tensor]:
        """Accumulate the gradients of one step of each trial; return each trial's mean NLL over its step's labels.

        The means are on the device, in double precision.

        Raises DoesNotFit if a single example doesn't fit into memory.
        """
        units = {index: self.trials[index].next_units() for index in active}
        attempt = partial(self._accumulate_within_limit, units)
        return self.limits.training.fit(attempt, self.note, undo=self._drop_gradients)

    def _accumulate_within_limit(self, units: Mapping[int, Sequence[Unit]]) -> dict[int, Tensor]:
        """Do the work of `_accumulate` within the current limits. Raises PassOutOfMemory."""
        limit = self.limits.training
        micro = {index: self.trials[index].micro_batches(chosen, limit.examples) for index, chosen in units.items()}
        labels = {index: sum(s.labels for unit in chosen for s in unit) for index, chosen in units.items()}
        sums = torch.zeros(len(units), dtype=torch.float64, device=self.device)
        # Outside any pass: its memory doesn't depend on how the passes are divided.
        self.stack.stack(list(units))
        self._choose_recorder()
        if self._recorder is not None:
            self.stack.zero_gradients()
        for micro_batch in itertools.zip_longest(*micro.values(), fillvalue=()):
            rows = [(index, row) for index, packed in zip(micro, micro_batch, strict=True) for row in packed]
            for chunk in split_passes(rows, limit.token_slots):
                sums += in_one_pass(partial(self._backward, chunk, labels), PassExtent.of(chunk))
        self.stack.bind_gradients()
        for index, chosen in units.items():
            self.trials[index].count(chosen, micro[index], limit.examples)
        return {index: total / labels[index] for index, total in zip(units, sums, strict=True)}

    def _backward(self, rows: Rows, labels: Mapping[int, int]) -> Tensor:
        """Add one pass's gradients to the accumulated ones; return the summed NLL of each trial.

        `labels` counts each trial's labels in the whole step.
        """
        weights = [*(1.0 / count for count in labels.values()), 0.0]
        if self._recorder is not None:
            return self._recorder.run(host_batch(rows, list(labels), whole_rows=True, padding=PADDING), weights)
        batch = collate(rows, self.device, trials=list(labels))
        return self._backward_of(batch, on_device(torch.tensor(weights), self.device))

    def _backward_of(self, batch: PackedBatch, weights: Tensor) -> Tensor:
        """Add a pass's gradients to the accumulated ones; the last of the weights is that of padding."""
        loss, nll = self.forward.loss(batch, weights[batch.label_trials])
        loss.backward()
        sums = torch.zeros(len(weights), dtype=torch.float64, device=self.device)
        return sums.index_add_(0, batch.label_trials, nll.double())[:-1]

    def _choose_recorder(self) -> None:
        """Have a recorder, if the device can replay what the stacked trials compute."""
        if self.new_tape is None or self.stack.version == self._recordable:
            return
        self._recordable = self.stack.version
        recorder = self._recorder or Recorder(self.stack, self._backward_of, self.device, self.new_tape(), self.note)
        self._recorder = recorder if can_record(self.forward.model, self.stack) else None

    def _drop_gradients(self) -> None:
        """Drop what a step that ran out of memory left: gradients on the stacks and the parameters, and recordings."""
        self.stack.bind_gradients()
        if self._recorder is not None:
            self._recorder.forget()
        for trial in self.trials.values():
            for parameter in trial.parameters:
                parameter.grad = None

    def _evaluate_due(self, logged: dict[int, dict[str, float]]) -> None:
        due = [index for index in logged if self.trials[index].evaluation_due and self.trials[index].evaluation]
        for index, sums in self.evaluation_nll(due).items():
            logged[index]["eval_nll"] = self.trials[index].evaluated(sums)

    def evaluation_nll(self, indices: Sequence[int]) -> dict[int, np.ndarray]:
        """Return, for each of these trials, the summed NLL in nats of each of its evaluation sequences' labels."""
        return self.sequence_nll({index: self.trials[index].evaluation for index in indices})

    def sequence_nll(self, sequences: Mapping[int, Sequence[TokenSequence]]) -> dict[int, np.ndarray]:
        """Return the summed NLL in nats of each sequence's labels, by trial and by the sequence's `index`.

        Raises DoesNotFit if a single sequence doesn't fit into memory.
        """
        if not sequences:
            return {}
        with self.working():
            return self.limits.scoring.fit(partial(self._score, sequences), self.note)

    def _score(self, sequences: Mapping[int, Sequence[TokenSequence]]) -> dict[int, np.ndarray]:
        """Do the work of `sequence_nll` within the current limits. Raises PassOutOfMemory."""
        indices = list(sequences)
        sums = {index: np.zeros(1 + max(s.index for s in chosen)) for index, chosen in sequences.items()}
        rows = [(index, row) for index, chosen in sequences.items() for row in self._rows(index, chosen)]
        self.stack.stack(indices)
        chunks = list(split_passes(rows, self.limits.scoring.token_slots))
        for done, chunk in enumerate(chunks):
            self.answered("likelihoods", done, len(chunks), "passes")
            trials, examples, nll = in_one_pass(partial(self._label_nll, chunk, indices), PassExtent.of(chunk))
            for position, index in enumerate(indices):
                of_trial = trials == position
                np.add.at(sums[index], examples[of_trial], nll[of_trial])
        return sums

    def _label_nll(self, rows: Rows, stacked: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return for each label of a pass the index of its trial in `stacked`, its example, and its NLL."""
        batch = collate(rows, self.device, trials=stacked)
        nll = self.forward.nll(batch).double().cpu().numpy()
        return batch.label_trials.cpu().numpy(), batch.label_examples.cpu().numpy(), nll

    def _rows(self, index: int, sequences: Sequence[TokenSequence]) -> list[PackedRow]:
        """Pack sequences for a trial; trials with the same sequences and as many virtual tokens share the rows."""
        virtual, limit = self.stack.adapters[index].virtual_tokens, self.limits.scoring.examples
        key = (id(sequences), virtual, limit)
        if key not in self._packed:
            # Neighbours in this order share the longest prefixes.
            ordered = sorted((with_virtual_tokens(s, virtual) for s in sequences), key=lambda s: s.tokens)
            size = limit or max(1, len(ordered))
            chunks = (ordered[start : start + size] for start in range(0, len(ordered), size))
            rows = [row for chunk in chunks for row in pack(chunk, ROW_TOKEN_SLOTS)]
            # The sequences are kept, too, so that no other object gets their id.
            self._packed[key] = sequences, rows
        return self._packed[key][1]
