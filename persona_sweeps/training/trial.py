"""One trial as the engine sees it: an adapter, its optimizer and schedule, its data order, and its progress."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import get_scheduler

from persona_sweeps.config.schema import TrainConfig
from persona_sweeps.data.packing import PackedRow, TokenSequence, pack
from persona_sweeps.errors import TrialError
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.training.order import batches, steps_per_epoch, total_steps

ROW_TOKEN_SLOTS = 4096
"""most token slots of a packed row: a micro-batch is one row unless it exceeds this"""

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
"""train.scheduler → transformers' schedule; each begins with the warm-up"""


@dataclass(slots=True)
class Progress:
    """Counters of a trial; losses in nats a token."""

    step: int = 0
    tokens: int = 0
    """tokens of the examples seen, counted as separate sequences"""
    unique_tokens: int = 0
    """tokens computed: a shared prefix counts once a row"""
    micro_batch_size: int | None = None
    """examples computed at once in the last step, if memory limited it to fewer than the config's"""
    train_nll: float = math.nan
    eval_nll: float | None = None
    eval_items: np.ndarray | None = None
    """[N] summed NLL of each evaluation sequence, at the last evaluation point"""
    best_eval_nll: float | None = None


class Trial:
    """A trial's own state; it shares nothing with other trials, so that its result is the same solo and co-trained."""

    def __init__(
        self,
        adapter: Adapter,
        config: TrainConfig,
        seed: int,
        train: Sequence[TokenSequence],
        evaluation: Sequence[TokenSequence] = (),
    ) -> None:
        """Make the optimizer and schedule; `train` and `evaluation` are the examples without virtual tokens."""
        self.adapter = adapter
        self.config = config
        self.train = [with_virtual_tokens(sequence, adapter.virtual_tokens) for sequence in train]
        self.evaluation = evaluation
        self.parameters = list(adapter.parameters())
        self.total_steps = (
            total_steps(len(train), config.batch_size, config.epochs, config.max_steps) if self.parameters else 0
        )
        self.steps_per_epoch = steps_per_epoch(len(train), config.batch_size) if train else 1
        self.progress = Progress()
        self.started = time.perf_counter()
        self.failure: Exception | None = None
        self.pruned: str | None = None
        """why it was stopped early"""
        self._rungs: dict[int, int] = {}
        lengths = [len(sequence.tokens) for sequence in train]
        self._batches = batches(lengths, config.batch_size, seed, self.total_steps)
        if self.total_steps:
            self._make_optimizer()

    def _make_optimizer(self) -> None:
        rate = self.config.learning_rate
        assert rate is not None
        groups = [{"params": part, "lr": rate * ratio} for part, ratio in self.adapter.parameter_groups()]
        self.optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=self.config.weight_decay, fused=True)
        self.schedule = get_scheduler(
            SCHEDULES[self.config.scheduler],
            self.optimizer,
            num_warmup_steps=math.ceil(self.config.warmup_ratio * self.total_steps),
            num_training_steps=self.total_steps,
        )

    @property
    def active(self) -> bool:
        return self.failure is None and self.pruned is None and self.progress.step < self.total_steps

    @property
    def epoch(self) -> float:
        return self.progress.step / self.steps_per_epoch

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def evaluation_due(self) -> bool:
        """Whether to evaluate after the last step taken: every `eval_every` steps (or epoch), and at the end."""
        every = self.steps_per_epoch if self.config.eval_every is None else self.config.eval_every or self.total_steps
        step = self.progress.step
        return step % every == 0 or step == self.total_steps or step in self._rungs

    def next_examples(self) -> list[TokenSequence]:
        """Draw the examples of the next step; call it once a step, however often the step is retried."""
        return [self.train[index] for index in next(self._batches)]

    def skip_batches(self, steps: int) -> None:
        """Skip the batches of the steps that were taken before an interruption."""
        for _ in range(steps):
            next(self._batches)

    def skip_schedule(self, steps: int) -> None:
        """Set the learning rate to that after so many steps."""
        self.schedule.last_epoch = steps
        self.schedule._step_count = steps + 1
        rates = [
            base * part(steps) for base, part in zip(self.schedule.base_lrs, self.schedule.lr_lambdas, strict=True)
        ]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.schedule._last_lr = rates

    def micro_batches(self, examples: Sequence[TokenSequence], limit: int | None) -> list[list[PackedRow]]:
        """Return a step's rows, as a list for each micro-batch of at most `limit` examples (None: no limit)."""
        size = min(self._micro_batch_size, limit or self._micro_batch_size)
        return [pack(examples[start : start + size], ROW_TOKEN_SLOTS) for start in range(0, len(examples), size)]

    def count(self, examples: Sequence[TokenSequence], micro: Sequence[Sequence[PackedRow]], limit: int | None) -> None:
        """Count the tokens of a step that succeeded, with its micro-batches and their limit."""
        self.progress.tokens += sum(len(sequence.tokens) for sequence in examples)
        self.progress.unique_tokens += sum(len(row) for rows in micro for row in rows)
        self.progress.micro_batch_size = limit if limit is not None and limit < self._micro_batch_size else None

    @property
    def _micro_batch_size(self) -> int:
        return self.config.micro_batch_size or self.config.batch_size

    def update(self, train_nll: float) -> dict[str, float]:
        """Take one optimizer step with the accumulated gradients; return the values to log.

        Raises TrialError if the loss or the gradient isn't finite.
        """
        rate = self.learning_rate
        limit = self.config.max_grad_norm or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, limit, foreach=True))
        if not (math.isfinite(train_nll) and math.isfinite(norm)):
            what = "gradient" if math.isfinite(train_nll) else "loss"
            raise TrialError(
                f"the {what} was not a finite number at step {self.progress.step + 1} of {self.total_steps} "
                f"(learning rate {rate:.3g}); lower train.learning_rate or raise train.warmup_ratio"
            )
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.adapter.step += 1
        self.progress.step += 1
        self.progress.train_nll = train_nll
        return {"train_nll": train_nll, "learning_rate": rate, "grad_norm": norm}

    @property
    def examples_seen(self) -> int:
        """Examples of all steps so far, counting repeats."""
        return self._examples_at(self.progress.step)

    def judge_after(self, rungs: Sequence[int]) -> None:
        """Evaluate after these numbers of examples, as far as they come before the end."""
        steps = {self._step_at(examples): examples for examples in rungs}
        self._rungs = {step: examples for step, examples in steps.items() if step < self.total_steps}

    @property
    def rung(self) -> int | None:
        """The rung (a number of examples) that the trial has just reached; None if it isn't at a rung."""
        return self._rungs.get(self.progress.step) if self.active else None

    @property
    def total_examples(self) -> int:
        """Examples of all steps to the end, counting repeats."""
        return self._examples_at(self.total_steps)

    def _step_at(self, examples: int) -> int:
        """Return the first step after which so many examples were seen."""
        whole, rest = divmod(examples, max(1, len(self.train)))
        return whole * self.steps_per_epoch + -(-rest // self.config.batch_size)

    def _examples_at(self, step: int) -> int:
        whole, rest = divmod(step, self.steps_per_epoch)
        return whole * len(self.train) + min(rest * self.config.batch_size, len(self.train))

    def fail(self, error: Exception) -> None:
        """Leave the group because of an error, and free the gradients."""
        self.failure = error
        for parameter in self.parameters:
            parameter.grad = None

    def prune(self, reason: str) -> None:
        """Leave the group early, since other trials were better."""
        self.pruned = reason

    def retire(self) -> None:
        """Free weights, gradients and optimizer; the progress stays."""
        self.adapter = Adapter(seed=self.adapter.seed)
        self.parameters = []
        if self.total_steps:
            del self.optimizer, self.schedule


def with_virtual_tokens(sequence: TokenSequence, count: int) -> TokenSequence:
    """Return a sequence behind `count` virtual tokens."""
    if not count:
        return sequence
    virtual = tuple(-1 - index for index in range(count))
    return TokenSequence(virtual + sequence.tokens, sequence.loss_from + count, sequence.index)
