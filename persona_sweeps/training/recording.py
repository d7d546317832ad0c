"""Record the passes of a group on a GPU, and replay them: what takes thousands of launches then takes one.

A pass of a small model is over before the host has started its kernels. A recording (a CUDA graph) starts all of them
at once, on the tensors that it was made with. So the passes of a group are padded to few sizes, and the second pass of
a size is recorded; from then on a batch of this size is copied to where the recording reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.batch import HostBatch, PackedBatch, Padding
from persona_sweeps.models.transfer import in_pinned_memory, on_device
from persona_sweeps.training.limits import Note

PADDING = Padding(slots=128, labels=256)
MOST = 12
"""recordings that a group keeps; passes of further sizes are computed as they come"""

Backward = Callable[[PackedBatch, Tensor], Tensor]
"""(batch, weight of a label of each trial and of padding) → summed NLL of each trial; it accumulates gradients"""
Replay = Callable[[], None]
Work = Callable[[], Tensor]


class Tape(Protocol):
    """The means of recording."""

    def record(self, work: Work) -> tuple[Replay, Tensor]:
        """Record the work without doing it; return what does it, and where that leaves the result."""
        ...

    def forget(self) -> None:
        """Note that nothing will be replayed that was recorded until now."""


class CudaTape:
    """Records CUDA graphs on the present stream; they share their memory, so one is replayed at a time."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.forget()

    def forget(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Work) -> tuple[Replay, Tensor]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=torch.cuda.current_stream(self.device)):
            result = work()
        return graph.replay, result


def refusal(error: RuntimeError) -> str:
    """Return a sentence that says why nothing is recorded."""
    reason = str(error).strip().splitlines() or ["no reason given"]
    return f"The GPU's work can't be recorded and replayed ({reason[0]}): it takes longer, and the result is the same."


@dataclass(frozen=True, slots=True)
class _Recording:
    replay: Replay
    flat: Tensor
    """where it reads the batch"""
    weights: Tensor
    result: Tensor


class Recorder:
    """The recordings of one group's passes, as long as the same trials are stacked."""

    def __init__(self, stack: AdapterStack, backward: Backward, device: torch.device, tape: Tape, note: Note) -> None:
        self.stack = stack
        self.backward = backward
        self.device = device
        self.tape = tape
        self.note = note
        self._version = -1
        self._refused = False
        self._seen: set[object] = set()
        self._recordings: dict[object, _Recording] = {}

    def run(self, batch: HostBatch, weights: Sequence[float]) -> Tensor:
        """Do a pass; `weights` are those of a label of each trial, and of padding. Return the trials' summed NLL."""
        if self.stack.version != self._version:
            self._version = self.stack.version
            self.forget()
        of_labels = in_pinned_memory(torch.tensor(weights), self.device)
        size = tuple(batch.shapes.items()), batch.one_row_each, batch.trials
        self.stack.stack(batch.trials)
        self.stack.salt()
        recording = self._recordings.get(size) or self._new(size, batch, of_labels)
        if recording is None:
            return self.backward(batch.to(self.device), on_device(of_labels, self.device))
        recording.flat.copy_(in_pinned_memory(batch.flat, self.device), non_blocking=True)
        recording.weights.copy_(of_labels, non_blocking=True)
        recording.replay()
        return recording.result.clone()

    def forget(self) -> None:
        """Free the memory of all recordings, such as when there is too little."""
        self._seen.clear()
        self._recordings.clear()
        self.tape.forget()

    def _new(self, size: object, batch: HostBatch, weights: Tensor) -> _Recording | None:
        """Return a recording of passes of this size; None if it is the first of them, or can't be recorded."""
        if size not in self._seen or len(self._recordings) == MOST or self._refused:
            self._seen.add(size)
            return None
        try:
            self._recordings[size] = self._record(batch, weights)
        except RuntimeError as error:
            self._refused = True
            self.note(refusal(error))
            return None
        return self._recordings[size]

    def _record(self, batch: HostBatch, weights: Tensor) -> _Recording:
        flat, of_labels = on_device(batch.flat, self.device).clone(), on_device(weights, self.device).clone()
        replay, result = self.tape.record(lambda: self.backward(batch.on(flat), of_labels))
        return _Recording(replay, flat, of_labels, result)


def can_record(model: PreTrainedModel, stack: AdapterStack) -> bool:
    """Return whether training passes of the stacked trials can be recorded.

    Beside what `can_replay` asks for: no soft prompts, whose slots the host counts, and no soft-capped scores, whose
    branches it divides.
    """
    softcap = getattr(model.config.get_text_config(), "attn_logit_softcapping", None)
    return can_replay(model, stack) and stack.acts_on_layers_only and softcap is None


def can_replay(model: PreTrainedModel, stack: AdapterStack) -> bool:
    """Return whether all computes on one GPU, without asking the host for anything, as int8 does of its outliers."""
    if model.device.type != "cuda" or {hook.device for hook in stack.hooks} - {model.device}:
        return False
    from bitsandbytes.nn import Linear8bitLt

    return not any(isinstance(module, Linear8bitLt) for module in model.modules())
