"""One trial as the engine sees it: an adapter, its optimizer and schedule, its data order, and its progress."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from persona_sweeps.config.schema import TrainConfig
from persona_sweeps.data.packing import PackedRow, TokenSequence, pack
from persona_sweeps.data.sequences import TrainingSequences
from persona_sweeps.errors import Diverged
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.training.optimizer import AdamW
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
    kept_nll: float | None = None
    """the best of the regular evaluations, and its step"""
    best_step: int | None = None
    worse: int = 0
    """regular evaluations in a row that weren't better than the best"""


Unit = tuple[TokenSequence, ...]
"""what a batch counts as one: an example, a window, or the turns of one dialogue"""


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
        self.train = train
        self.evaluation = evaluation
        self.units = units_of(train)
        """what a batch counts: ranges of `train`"""
        self.parameters = list(adapter.parameters())
        self.total_steps = (
            total_steps(len(self.units), config.batch_size, config.epochs, config.max_steps) if self.parameters else 0
        )
        self.steps_per_epoch = steps_per_epoch(len(self.units), config.batch_size) if self.units else 1
        self.progress = Progress()
        self.started = time.perf_counter()
        self.failure: Exception | None = None
        self.pruned: str | None = None
        """why it was stopped early, by others' results"""
        self.best: list[Tensor] | None = None
        """copies of the parameters at the best evaluation, with keep=best"""
        self._rungs: dict[int, int] = {}
        self._batches = batches(unit_lengths(train, self.units), config.batch_size, seed, self.total_steps)
        if self.total_steps:
            self._make_optimizer()

    def _make_optimizer(self) -> None:
        from transformers import get_scheduler  # here, since it loads PEFT and bitsandbytes, which a plan doesn't need

        rate = self.config.learning_rate
        assert rate is not None
        groups = [{"params": part, "lr": rate * ratio} for part, ratio in self.adapter.parameter_groups()]
        self.optimizer = AdamW(groups, lr=rate, weight_decay=self.config.weight_decay)
        self.schedule = get_scheduler(
            SCHEDULES[self.config.scheduler],
            self.optimizer,
            num_warmup_steps=warmup_steps(self.config, self.total_steps),
            num_training_steps=self.total_steps,
        )

    @property
    def active(self) -> bool:
        return self.failure is None and self.pruned is None and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether it has taken its last step: that of its schedule, or the one after which its patience ended."""
        return self.progress.step >= self.total_steps or self.lost_patience

    @property
    def lost_patience(self) -> bool:
        return self.config.patience is not None and self.progress.worse >= self.config.patience

    @property
    def epoch(self) -> float:
        return self.progress.step / self.steps_per_epoch

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def evaluation_due(self) -> bool:
        """Whether to evaluate after the last step taken: every `eval_every` steps (or epoch), at rungs and the end."""
        return self._is_regular or self.progress.step in self._rungs

    @property
    def _is_regular(self) -> bool:
        """Whether an evaluation is due whatever the run is compared with."""
        every = self.steps_per_epoch if self.config.eval_every is None else self.config.eval_every or self.total_steps
        step = self.progress.step
        return (step % every == 0 and step > 0) or step == self.total_steps or self._is_start

    @property
    def _is_start(self) -> bool:
        return self.progress.step == 0 and self.config.eval_at_start

    @property
    def start_evaluation_due(self) -> bool:
        """Whether to evaluate before the first step."""
        return self._is_start and self.progress.eval_nll is None and bool(self.evaluation) and self.active

    def evaluated(self, sums: np.ndarray) -> float:
        """Note an evaluation, given the summed NLL of each example; return the nats a token.

        Only regular evaluations decide what is kept and when it stops, so that a study's rungs change nothing.
        """
        progress = self.progress
        nll = float(sums.sum()) / sum(sequence.labels for sequence in self.evaluation)
        progress.eval_nll, progress.eval_items = nll, sums
        progress.best_eval_nll = nll if progress.best_eval_nll is None else min(nll, progress.best_eval_nll)
        if self._is_regular and self.config.monitored:
            self._remember(nll)
        return nll

    def _remember(self, nll: float) -> None:
        progress = self.progress
        better = progress.kept_nll is None or nll < progress.kept_nll
        progress.worse = 0 if better else progress.worse + 1
        if better:
            progress.kept_nll, progress.best_step = nll, progress.step
            if self.config.keep == "best":
                self.best = [parameter.detach().clone() for parameter in self.parameters]

    def keep_best(self) -> None:
        """Put back the weights of the best evaluation, if these are to be kept."""
        if self.best is None:
            return
        with torch.no_grad():
            for parameter, best in zip(self.parameters, self.best, strict=True):
                parameter.copy_(best)

    def next_units(self) -> list[Unit]:
        """Draw the examples of the next step, by unit; call it once a step, however often the step is retried."""
        virtual = self.adapter.virtual_tokens
        units = [self.units[index] for index in next(self._batches)]
        return [tuple(with_virtual_tokens(self.train[index], virtual) for index in unit) for unit in units]

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

    def micro_batches(self, units: Sequence[Unit], limit: int | None) -> list[list[PackedRow]]:
        """Return a step's rows, as a list for each micro-batch of at most `limit` examples (None: no limit)."""
        size = self._micro_batch_size
        micro = [[s for unit in units[start : start + size] for s in unit] for start in range(0, len(units), size)]
        most = limit or max(map(len, micro))
        parts = [part[start : start + most] for part in micro for start in range(0, len(part), most)]
        return [pack(part, ROW_TOKEN_SLOTS) for part in parts]

    def count(self, units: Sequence[Unit], micro: Sequence[Sequence[PackedRow]], limit: int | None) -> None:
        """Count the tokens of a step that succeeded, with its micro-batches and their limit."""
        self.progress.tokens += sum(len(sequence.tokens) for unit in units for sequence in unit)
        self.progress.unique_tokens += sum(len(row) for rows in micro for row in rows)
        self.progress.micro_batch_size = limit if limit is not None and limit < self._micro_batch_size else None

    @property
    def _micro_batch_size(self) -> int:
        return self.config.micro_batch_size or self.config.batch_size

    def clip_gradients(self) -> Tensor:
        """Scale the accumulated gradients down to `max_grad_norm`; return their norm before, on the device."""
        limit = self.config.max_grad_norm or math.inf
        return torch.nn.utils.clip_grad_norm_(self.parameters, limit, foreach=True).double()

    def update(self, train_nll: float, norm: float) -> dict[str, float]:
        """Take one optimizer step with the clipped gradients, whose norm was `norm`; return the values to log.

        Raises Diverged if the loss or the gradient isn't finite.
        """
        rate = self.learning_rate
        if not (math.isfinite(train_nll) and math.isfinite(norm)):
            what = "gradient" if math.isfinite(train_nll) else "loss"
            raise Diverged(
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
        whole, rest = divmod(examples, max(1, len(self.units)))
        return whole * self.steps_per_epoch + -(-rest // self.config.batch_size)

    def _examples_at(self, step: int) -> int:
        whole, rest = divmod(step, self.steps_per_epoch)
        return whole * len(self.units) + min(rest * self.config.batch_size, len(self.units))

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
        self.best = None
        if self.total_steps:
            del self.optimizer, self.schedule


def units_of(train: Sequence[TokenSequence]) -> Sequence[range]:
    """Return the units of training sequences: their own, or each sequence alone."""
    return train.units if isinstance(train, TrainingSequences) else [range(n, n + 1) for n in range(len(train))]


def unit_lengths(train: Sequence[TokenSequence], units: Sequence[range]) -> list[int]:
    """Return the number of tokens of each unit."""
    if isinstance(train, TrainingSequences):
        return train.units.sums(train.lengths).tolist()
    return [sum(len(train[index].tokens) for index in unit) for unit in units]


def warmup_steps(config: TrainConfig, steps: int) -> int:
    """Return over how many of a trial's steps the rate rises."""
    return config.warmup_steps if config.warmup_steps is not None else math.ceil(config.warmup_ratio * steps)


def with_virtual_tokens(sequence: TokenSequence, count: int) -> TokenSequence:
    """Return a sequence behind `count` virtual tokens."""
    if not count:
        return sequence
    virtual = tuple(-1 - index for index in range(count))
    return TokenSequence(virtual + sequence.tokens, sequence.loss_from + count, sequence.index)
