"""Generate texts in batches, for all trials of a group at once.

Prompts are prefilled packed, so that a persona card is computed once a trial. Then each sequence's keys and values are
gathered from the tree into its own cache, and all sequences advance together, one token a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from persona_sweeps.prediction.advance import Advance, RecordedAdvance, Sequences, advance
from persona_sweeps.prediction.decoding import Generation
from persona_sweeps.prediction.ending import Decode, Ending, no_text
from persona_sweeps.prediction.kv_cache import SlotCache, slot_cache
from persona_sweeps.prediction.prefill import GenerationRequest, prefill
from persona_sweeps.seeds import derive_seed
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.limits import PassExtent, in_one_pass
from persona_sweeps.training.memory import is_out_of_memory
from persona_sweeps.training.recording import can_replay, refusal

SEQUENCES = {"cpu": 128, "cuda": 512}
"""most sequences that advance together on each kind of device, if memory allows; further ones follow"""


Watch: TypeAlias = Callable[[int, Sequence[int]], None]
"""is called with the index of a request and its tokens so far"""


def no_watch(index: int, tokens: Sequence[int]) -> None:
    """Let a text grow unseen."""


def requests(trial: int, prompts: Sequence[tuple[int, ...]], ids: Sequence[str], seed: int) -> list[GenerationRequest]:
    """Return a request for each prompt of a trial; the stream depends on the seed and the example's id only."""
    streams = [derive_seed(seed, "generation", example_id) for example_id in ids]
    return [GenerationRequest(trial, prompt, stream) for prompt, stream in zip(prompts, streams, strict=True)]


@torch.no_grad()
def generate(
    engine: Engine,
    requests: Sequence[GenerationRequest],
    config: Generation,
    stop_token_ids: Sequence[int],
    decode: Decode = no_text,
    watch: Watch = no_watch,
) -> list[list[int]]:
    """Return the new tokens of each request, without the stop token; those of a stop text are among them.

    `decode` returns the text of tokens; only stop texts need it (`generation.stop`). `watch` is called with a request's
    index and its tokens so far, after each of them. If memory runs out, the requests are retried with half as many at a
    time, and watched again. Raises DoesNotFit if not even one fits.
    """
    limit, most = engine.limits.generation, SEQUENCES[engine.device.type]
    ending = Ending(frozenset(stop_token_ids), tuple(config.stop), decode)
    results: list[list[int]] = []

    def next_results() -> list[list[int]]:
        next_requests = requests[len(results) :][: min(most, limit.examples or most)]
        done = len(results)
        decoding = _Decoding(engine, next_requests, config, ending, lambda index, tokens: watch(done + index, tokens))
        with engine.working(fixed_order=False):
            return in_one_pass(decoding.run, decoding.size())

    while len(results) < len(requests):
        engine.answered("texts", len(results), len(requests), "")
        results += limit.fit(next_results, engine.note)
    return results


class _Decoding:
    """Sequences that advance together; finished ones are removed."""

    def __init__(
        self,
        engine: Engine,
        requests: Sequence[GenerationRequest],
        config: Generation,
        ending: Ending,
        watch: Watch,
    ) -> None:
        self.watch = watch
        self.forward = engine.forward
        self.stack = engine.stack
        self.pass_token_slots = engine.limits.scoring.token_slots
        self.device = engine.device
        self.note = engine.note
        self.new_tape = engine.new_tape if can_replay(engine.forward.model, engine.stack) else None
        self.requests = requests
        self.max_new_tokens = config.max_new_tokens
        self.choose = config.chooser()
        self.penalty = config.repetition_penalty
        self.ending = ending
        self.trials = sorted({request.trial for request in requests})
        self.virtual = {trial: engine.stack.adapters[trial].virtual_tokens for trial in self.trials}
        self.texts: list[list[int]] = [[] for _ in requests]

    def size(self) -> PassExtent:
        """Return the size at the end: each prompt with its virtual tokens and the new tokens."""
        lengths = [len(request.prompt) + self.virtual[request.trial] for request in self.requests]
        token_slots = sum(lengths) + len(lengths) * self.max_new_tokens
        return PassExtent(rows=1, token_slots=token_slots, examples=len(lengths))

    def run(self) -> list[list[int]]:
        self.stack.stack(self.trials)
        logits, parts = prefill(self.forward, self.requests, self.trials, self.pass_token_slots)
        cache = slot_cache(parts, self.max_new_tokens)
        self.batch = list(range(len(self.requests)))
        """indices of the requests whose sequences advance; row k of the batch belongs to the k-th of them"""
        self.finished: set[int] = set()
        lengths = [len(request.prompt) + self.virtual[request.trial] for request in self.requests]
        self.lengths = torch.tensor(lengths, device=self.device)
        self.row_trials = torch.tensor([self.trials.index(r.trial) for r in self.requests], device=self.device)
        self.width = max(lengths)
        advance = self._advance_with(cache, 0)
        for step in range(self.max_new_tokens):
            streams = [self.requests[index].stream for index in self.batch]
            tokens = self.choose(self._penalized(logits.float()), streams, step).to(self.device)
            rows = self._append(tokens.tolist())
            if not rows or step + 1 == self.max_new_tokens:
                break
            # What is recorded would have to be recorded anew: that is worth it for half as many.
            if len(rows) < len(self.batch) and (self.new_tape is None or len(rows) <= len(self.batch) // 2):
                tokens = self._keep_rows(rows, tokens, cache)
                advance = self._advance_with(cache, step)
            logits = advance(tokens, step)
        return self.texts

    def _advance_with(self, cache: SlotCache, step: int) -> Advance:
        """Return a function that runs the newest token of each sequence of the batch, from this step on."""
        sequences = Sequences(self.lengths, self.row_trials, self.width)
        if self.new_tape is not None:
            try:
                return RecordedAdvance(self.forward, sequences, cache, self.new_tape(), step)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                self.note(refusal(error))
                self.new_tape = None
                cache.write_after(self.width + step)
        return partial(advance, self.forward, sequences, cache)

    def _append(self, tokens: Sequence[int]) -> list[int]:
        """Add the chosen tokens to their texts; return the rows that aren't finished."""
        rows = []
        for row, (index, token) in enumerate(zip(self.batch, tokens, strict=True)):
            if index in self.finished:
                continue
            if token not in self.ending.tokens:
                self.texts[index].append(token)
                self.watch(index, self.texts[index])
                if not self.ending.reached(self.texts[index]):
                    rows.append(row)
                    continue
            self.finished.add(index)
        return rows

    def _penalized(self, logits: Tensor) -> Tensor:
        """Make the tokens of each sequence so far, its prompt's too, less probable (Keskar et al. 2019)."""
        if self.penalty is None:
            return logits
        for row, index in enumerate(self.batch):
            seen = torch.tensor(sorted({*self.requests[index].prompt, *self.texts[index]}), device=logits.device)
            scores = logits[row, seen]
            logits[row, seen] = torch.where(scores > 0, scores / self.penalty, scores * self.penalty)
        return logits

    def _keep_rows(self, rows: list[int], tokens: Tensor, cache: SlotCache) -> Tensor:
        """Remove all other rows from the batch; return the tokens of those that stay."""
        keep = torch.tensor(rows, device=self.device)
        cache.keep(keep)
        self.batch = [self.batch[row] for row in rows]
        self.lengths, self.row_trials = self.lengths[keep], self.row_trials[keep]
        return tokens[keep]
