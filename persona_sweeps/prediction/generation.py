"""Batched generation for all trials of a group at once.

Prompts are prefilled packed, so that a persona card is computed once a trial; each sequence's keys and values are
then gathered from the tree into a cache of its own, and all sequences advance together, one token a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from persona_sweeps.data.packing import TokenSequence, pack
from persona_sweeps.models.attention import CacheLayout
from persona_sweeps.models.batch import collate, split_passes
from persona_sweeps.prediction.decoding import Chooser, Generation
from persona_sweeps.prediction.kv_cache import SlotCache, gather_paths, slot_cache
from persona_sweeps.seeds import derive_seed
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.limits import Extent, in_one_pass
from persona_sweeps.training.trial import ROW_NODES, with_virtual_tokens

SEQUENCES = 128
"""sequences that advance together where the memory allows it; more are generated in turn"""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One text to generate: the trial whose adapter speaks, the prompt's tokens, and the stream of its randomness."""

    trial: int
    prompt: tuple[int, ...]
    stream: int


def requests(trial: int, prompts: Sequence[tuple[int, ...]], ids: Sequence[str], seed: int) -> list[GenerationRequest]:
    """Ask one trial for a text to each prompt; the stream hangs on the trial's seed and the example's id only."""
    streams = [derive_seed(seed, "generation", identity) for identity in ids]
    return [GenerationRequest(trial, prompt, stream) for prompt, stream in zip(prompts, streams, strict=True)]


@torch.no_grad()
def generate(
    engine: Engine, asked: Sequence[GenerationRequest], config: Generation, stop_token_ids: Sequence[int]
) -> list[list[int]]:
    """Return the new tokens of each request, without the stop token that ended it.

    Those that run out of memory begin again, half as many at a time. Raises DoesNotFit when a single one is too much.
    """
    limit, choose, stop = engine.limits.generation, config.chooser(), set(stop_token_ids)
    results: list[list[int]] = []

    def next_results() -> list[list[int]]:
        some = asked[len(results) :][: min(SEQUENCES, limit.examples or SEQUENCES)]
        decoding = _Decoding(engine, some, config.max_new_tokens, choose, stop)
        return in_one_pass(decoding.run, decoding.extent())

    while len(results) < len(asked):
        results += limit.fit(next_results, engine.tell)
    return results


class _Decoding:
    """Sequences that advance together; those that have ended make room now and then."""

    def __init__(
        self, engine: Engine, asked: Sequence[GenerationRequest], max_new_tokens: int, choose: Chooser, stop: set[int]
    ) -> None:
        self.forward = engine.forward
        self.stack = engine.stack
        self.pass_places = engine.limits.scoring.places
        self.device = engine.device
        self.asked = asked
        self.max_new_tokens = max_new_tokens
        self.choose = choose
        self.stop = stop
        self.trials = sorted({request.trial for request in asked})
        self.virtual = {trial: engine.stack.adapters[trial].virtual_tokens for trial in self.trials}
        self.texts: list[list[int]] = [[] for _ in asked]

    def extent(self) -> Extent:
        """Return what is held at the end: each prompt with its soft prompt and the new tokens."""
        lengths = [len(request.prompt) + self.virtual[request.trial] for request in self.asked]
        return Extent(rows=1, places=sum(lengths) + len(lengths) * self.max_new_tokens, examples=len(lengths))

    def run(self) -> list[list[int]]:
        self.stack.stack(self.trials)
        logits, cache = self._prefill()
        self.alive = list(range(len(self.asked)))
        lengths = [len(request.prompt) + self.virtual[request.trial] for request in self.asked]
        self.lengths = torch.tensor(lengths, device=self.device)
        self.slots = torch.tensor([self.trials.index(r.trial) for r in self.asked], device=self.device)
        self.width = max(lengths)
        for step in range(self.max_new_tokens):
            streams = [self.asked[place].stream for place in self.alive]
            tokens = self.choose(logits.float(), streams, step).to(self.device)
            going = self._append(tokens.tolist())
            if not going or step + 1 == self.max_new_tokens:
                break
            if len(going) < len(self.alive):
                tokens = self._drop_ended(going, tokens, cache)
            logits = self._advance(tokens, step, cache)
        return self.texts

    def _append(self, tokens: Sequence[int]) -> list[int]:
        """Add the chosen tokens to their texts; return the places among `alive` that go on."""
        going = []
        for place, (sequence, token) in enumerate(zip(self.alive, tokens, strict=True)):
            if token not in self.stop:
                self.texts[sequence].append(token)
                going.append(place)
        return going

    def _drop_ended(self, going: list[int], tokens: Tensor, cache: SlotCache) -> Tensor:
        keep = torch.tensor(going, device=self.device)
        cache.keep(keep)
        self.alive = [self.alive[place] for place in going]
        self.lengths, self.slots = self.lengths[keep], self.slots[keep]
        return tokens[keep]

    def _advance(self, tokens: Tensor, step: int, cache: SlotCache) -> Tensor:
        """Feed each sequence its newest token; return the logits [E, vocabulary] of the next, on the head's device."""
        columns = torch.arange(self.width + step + 1, device=self.device)
        in_prompt = columns[None, :] < self.lengths[:, None]
        visible = in_prompt | (columns >= self.width)[None, :]
        new_positions = self.lengths[:, None] + (columns - self.width)[None, :]
        key_positions = torch.where(columns < self.width, columns.expand_as(new_positions), new_positions)
        self.stack.route(self.slots)
        embeddings = self.forward.model.get_input_embeddings()(tokens[:, None])
        positions = key_positions[:, -1:]
        layout = CacheLayout(visible[:, None, :], positions, key_positions)
        hidden = self.forward.decode(embeddings, positions, layout, cache)
        return self.forward.head(hidden[:, -1])

    def _prefill(self) -> tuple[Tensor, SlotCache]:
        """Run the packed prompts; return the logits after each prompt and the gathered cache, in request order."""
        parts, hidden, order = [], [], []
        rows = [(trial, row) for trial in self.trials for row in self._packed_prompts(trial)]
        width = max(len(path) for _, row in rows for path in row.paths.values())
        for chunk in split_passes(rows, self.pass_places):
            filled = DynamicCache()
            batch = collate(chunk, self.device, trials=self.trials)
            states = self.forward.hidden(batch, cache=filled)
            places = [(r, index, path) for r, (_, row) in enumerate(chunk) for index, path in row.paths.items()]
            paths = [torch.from_numpy(path) for _, _, path in places]
            parts.append(gather_paths(filled, [r for r, _, _ in places], paths, width))
            hidden += [states[r, path[-1]] for r, _, path in places]
            order += [index for _, index, _ in places]
        inverse = torch.tensor(order, device=self.device).argsort()
        cache = slot_cache(parts, self.max_new_tokens)
        cache.keep(inverse)
        return self.forward.head(torch.stack(hidden)[inverse]), cache

    def _packed_prompts(self, trial: int) -> list:
        """Pack a trial's prompts; the token after the last is a stand-in that is never computed."""
        prompts = [
            with_virtual_tokens(TokenSequence((*request.prompt, 0), len(request.prompt), index), self.virtual[trial])
            for index, request in enumerate(self.asked)
            if request.trial == trial
        ]
        return pack(prompts, ROW_NODES)
