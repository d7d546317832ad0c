"""How much fits into one pass: what running out of memory has taught about a base model on its device.

Memory is decided by the pass: by how many rows it has, and by how many examples share a row. So what doesn't fit is
done again with passes of half as many places and, once a row is alone in its pass, with half as many examples: from
halving to halving down to one example of one trial in a pass. Gradients add up over passes and dropout hangs on the
token, so the result is that of an untroubled run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from persona_sweeps.data.packing import PackedRow
from persona_sweeps.errors import TrialError
from persona_sweeps.training.memory import is_out_of_memory, release_memory

PASS_NODES = 2048
"""places in one forward pass; more rows than fit take further passes, whose gradients add up"""

T = TypeVar("T")
Rows = Sequence[tuple[int, PackedRow]]
Tell = Callable[[str], None]
"""called with a sentence for the person who watches"""


class DoesNotFit(TrialError):
    """Not even one example alone fits into memory."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a pass held."""

    rows: int
    places: int
    """padding included"""
    examples: int
    """in the row that has the most"""

    @classmethod
    def of(cls, rows: Rows) -> Extent:
        longest = max(len(row) for _, row in rows)
        return cls(len(rows), len(rows) * longest, max(len(row.paths) for _, row in rows))


class PassOutOfMemory(Exception):
    """A pass ran out of memory."""

    def __init__(self, extent: Extent) -> None:
        super().__init__(f"out of memory in {extent}")
        self.extent = extent


def in_one_pass(work: Callable[[], T], extent: Extent) -> T:
    """Do the work of one pass. Raises PassOutOfMemory where memory runs out, and whatever else the work raises."""
    try:
        return work()
    except Exception as error:
        if is_out_of_memory(error):
            raise PassOutOfMemory(extent) from error
        raise


@dataclass(slots=True)
class PassLimit:
    """The most that one pass may hold, for one kind of work; it is lowered, never raised."""

    work: str
    """such as "training": what runs out of memory"""
    portion: str
    """what so many examples at once are called, such as "micro-batches" """
    advice: str
    """what a person can do when even one example is too many"""
    places: int = PASS_NODES
    examples: int | None = None
    """in a row; None: as many as are asked for"""

    def fit(self, attempt: Callable[[], T], tell: Tell, undo: Callable[[], None] = lambda: None) -> T:
        """Return what `attempt` returns, trying again with half the limit whenever a pass of it runs out of memory.

        `undo` takes back what a broken attempt left. Raises DoesNotFit with what was tried; the limit is then what it
        was before, since what fits under no limit has taught nothing about it.
        """
        before = self.places, self.examples
        tried: list[Extent] = []
        while True:
            try:
                return attempt()
            except PassOutOfMemory as failed:
                tried.append(failed.extent)
            # Out here the error is gone, and with its traceback the frames that held the pass's tensors.
            undo()
            release_memory()
            if tried[-1].rows == tried[-1].examples == 1:
                self.places, self.examples = before
                raise DoesNotFit(self._tried(tried))
            tell(self._lower(tried[-1]))

    def _lower(self, failed: Extent) -> str:
        """Halve what the failed pass held; return the sentence that tells so."""
        start, end = f"Out of memory while {self.work} with", "from now on; the result stays the same."
        if failed.rows > 1:
            self.places = failed.places // 2
            return f"{start} {failed.places:,} places in a pass: at most {self.places:,} {end}"
        self.examples = failed.examples // 2
        return f"{start} {self.portion} of {failed.examples}: at most {self.examples} {end}"

    def _tried(self, tried: Sequence[Extent]) -> str:
        sizes = [str(size) for size in dict.fromkeys(extent.examples for extent in tried)]
        listed = f"{', '.join(sizes[:-1])} and {sizes[-1]}" if len(sizes) > 1 else sizes[0]
        return (
            f"an example does not fit into memory while {self.work}: tried {self.portion} of {listed}; the last had "
            f"{tried[-1].places:,} places; {self.advice}"
        )


def _training() -> PassLimit:
    return PassLimit("training", "micro-batches", "lower train.max_length, or choose quantization=nf4")


def _scoring() -> PassLimit:
    return PassLimit("scoring", "portions", "lower train.max_length, or choose quantization=nf4")


def _generation() -> PassLimit:
    return PassLimit("generating", "portions", "lower generation.max_new_tokens, or choose quantization=nf4")


@dataclass(slots=True)
class Limits:
    """The limits of all that is done with a base model on its device; later trials of the same base begin with them."""

    training: PassLimit = field(default_factory=_training)
    scoring: PassLimit = field(default_factory=_scoring)
    generation: PassLimit = field(default_factory=_generation)
    """`examples` are the texts that advance together"""
