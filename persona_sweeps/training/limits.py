"""Limit the size of a pass to what fits into memory, and lower the limit whenever memory runs out.

The memory of a pass depends on its number of rows, and on the number of examples that share a row. A pass that doesn't
fit is repeated as passes of half as many token slots; once a pass has a single row, with half as many examples in it;
and so on, down to one example of one trial in a pass. Gradients add up over passes, and dropout depends on the token
only, so the result stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from persona_sweeps.config.schema import Precision, RunConfig
from persona_sweeps.data.packing import PackedRow
from persona_sweeps.device import memory_for
from persona_sweeps.errors import TrialError
from persona_sweeps.models.activations import Shape, shape_of, slot_bytes
from persona_sweeps.models.families import family_of
from persona_sweeps.models.quantization import predicted_bytes
from persona_sweeps.models.skeleton import skeleton
from persona_sweeps.training.memory import is_out_of_memory, release_memory

PASS_TOKEN_SLOTS = 2048
"""most token slots in one forward pass on a CPU; further rows take further passes, whose gradients add up"""
GPU_PASS_TOKEN_SLOTS = (256, 16_384)
"""fewest and most on a GPU: the larger the passes, the less of its time is spent on starting them"""
GPU_SHARE = 0.8
"""of a GPU's memory that the weights, and the activations of a pass and of its recording, may take"""
RECORDED = 2
"""times the activations of a pass: once as it comes, and once where its recording keeps them"""

T = TypeVar("T")
Rows = Sequence[tuple[int, PackedRow]]
Note = Callable[[str], None]
"""prints a sentence for the user"""


class DoesNotFit(TrialError):
    """Not even a single example fits into memory."""


@dataclass(frozen=True, slots=True)
class PassExtent:
    """The size of a pass."""

    rows: int
    token_slots: int
    """padding included"""
    examples: int
    """in the row with the most examples"""

    @classmethod
    def of(cls, rows: Rows) -> PassExtent:
        longest = max(len(row) for _, row in rows)
        return cls(len(rows), len(rows) * longest, max(len(row.paths) for _, row in rows))


class PassOutOfMemory(Exception):
    """A pass ran out of memory."""

    def __init__(self, size: PassExtent) -> None:
        super().__init__(f"out of memory in {size}")
        self.size = size


def in_one_pass(work: Callable[[], T], size: PassExtent) -> T:
    """Do the work of one pass. Raises PassOutOfMemory if memory runs out, and whatever else the work raises."""
    try:
        return work()
    except Exception as error:
        if is_out_of_memory(error):
            raise PassOutOfMemory(size) from error
        raise


@dataclass(slots=True)
class PassLimit:
    """The largest allowed size of a pass, for one kind of work; it is lowered, never raised."""

    work: str
    """the work that runs out of memory, such as "training" """
    portion: str
    """the name of a number of examples at once, such as "micro-batches" """
    advice: str
    """what a user can do if not even one example fits"""
    token_slots: int = PASS_TOKEN_SLOTS
    examples: int | None = None
    """most examples in a row; None: no limit"""

    def fit(self, attempt: Callable[[], T], note: Note, undo: Callable[[], None] = lambda: None) -> T:
        """Return the result of `attempt`; whenever one of its passes runs out of memory, halve the limit and retry.

        `undo` removes what a failed attempt left behind. Raises DoesNotFit with the sizes that were tried; the limit is
        then restored, since a work that fits under no limit says nothing about the limit.
        """
        before = self.token_slots, self.examples
        tried: list[PassExtent] = []
        while True:
            try:
                return attempt()
            except PassOutOfMemory as failed:
                tried.append(failed.size)
            # Here the error is gone, and with its traceback the frames that held the pass's tensors.
            undo()
            release_memory()
            if tried[-1].rows == tried[-1].examples == 1:
                self.token_slots, self.examples = before
                raise DoesNotFit(self._describe(tried))
            note(self._lower(tried[-1]))

    def _lower(self, failed: PassExtent) -> str:
        """Lower the limit to half the failed pass's size; return a sentence that says so."""
        start, end = f"Out of memory while {self.work} with", "from now on; the result stays the same."
        if failed.rows > 1:
            self.token_slots = failed.token_slots // 2
            return f"{start} {failed.token_slots:,} token slots in a pass: at most {self.token_slots:,} {end}"
        self.examples = failed.examples // 2
        return f"{start} {self.portion} of {failed.examples}: at most {self.examples} {end}"

    def _describe(self, tried: Sequence[PassExtent]) -> str:
        counts = [str(count) for count in dict.fromkeys(size.examples for size in tried)]
        listed = f"{', '.join(counts[:-1])} and {counts[-1]}" if len(counts) > 1 else counts[0]
        return (
            f"an example does not fit into memory while {self.work}: tried {self.portion} of {listed}; the last had "
            f"{tried[-1].token_slots:,} token slots; {self.advice}"
        )


def _training() -> PassLimit:
    return PassLimit("training", "micro-batches", "lower train.max_length, or choose quantization=nf4")


def _scoring() -> PassLimit:
    return PassLimit("scoring", "portions", "lower train.max_length, or choose quantization=nf4")


def _generation() -> PassLimit:
    return PassLimit("generating", "portions", "lower generation.max_new_tokens, or choose quantization=nf4")


@dataclass(slots=True)
class Limits:
    """The limits for each kind of work with a base model on its device; later trials of the base start with them."""

    training: PassLimit = field(default_factory=_training)
    scoring: PassLimit = field(default_factory=_scoring)
    generation: PassLimit = field(default_factory=_generation)
    """its `examples` are the sequences that advance together"""

    @classmethod
    def of(cls, token_slots: int) -> Limits:
        """Return limits with so many token slots in a pass."""
        limits = cls()
        for kind in (limits.training, limits.scoring, limits.generation):
            kind.token_slots = token_slots
        return limits


def pass_token_slots(shape: Shape, weights_bytes: int, width: int, device: str) -> int:
    """Return the most token slots in a pass: on a GPU a power of two, so that weights and activations fit."""
    memory = memory_for(weights_bytes, device)
    if device == "cpu" or memory is None:
        return PASS_TOKEN_SLOTS
    fewest, most = GPU_PASS_TOKEN_SLOTS
    room = (GPU_SHARE * memory - weights_bytes) / (RECORDED * slot_bytes(shape, width, device))
    return max(fewest, min(most, 1 << max(0, int(room)).bit_length() - 1 if room >= 1 else 0))


def limits_for(config: RunConfig, device: str) -> Limits:
    """Return the limits of a pass of this config's base model on a device, as the plan reckons with them."""
    if device == "cpu":
        return Limits()
    model = skeleton(config.model)
    width = 2 if config.train.precision is Precision.bf16 else 4
    weights = predicted_bytes(model, config.quantization, width)
    return Limits.of(pass_token_slots(shape_of(model, family_of(config.model)), weights, width, device))
