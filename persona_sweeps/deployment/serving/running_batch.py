"""Texts that grow side by side, a token of each a step; a request joins at the next token (Orca; Yu et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from persona_sweeps.deployment.serving.running_cache import RunningCache
from persona_sweeps.models.attention import CacheLayout
from persona_sweeps.prediction.decoding import Chooser, Generation
from persona_sweeps.prediction.ending import Ending
from persona_sweeps.prediction.prefill import GenerationRequest, prefill
from persona_sweeps.training.engine import Engine


@dataclass
class GrowingText:
    """A request with its tokens so far; `finish_reason` is "stop" or "length" once it has ended.

    `watch` is called with the tokens after each of them. `cancelled` is set by whoever no longer wants the text.
    """

    request: GenerationRequest
    decoding: Generation
    ending: Ending
    watch: Callable[[Sequence[int]], None]
    tokens: list[int] = field(default_factory=list)
    finish_reason: str | None = None
    cancelled: bool = False

    def add(self, token: int) -> None:
        """Take the next token."""
        if token in self.ending.tokens:
            self.finish_reason = "stop"
            return
        self.tokens.append(token)
        self.watch(self.tokens)
        if self.ending.reached(self.tokens):
            self.finish_reason = "stop"
        elif len(self.tokens) >= self.decoding.max_new_tokens:
            self.finish_reason = "length"


class RunningBatch:
    """The texts under way, of any of an engine's trials, each chosen by its own decoding and random stream."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._trials = range(len(engine.stack.adapters))
        self._cache: RunningCache | None = None
        self._logits: Tensor | None = None
        """[E, vocabulary] of the next token of each text"""
        self._choosers: list[Chooser] = []
        self._lengths: list[int] = []
        self.texts: list[GrowingText] = []

    @torch.no_grad()
    def join(self, texts: Sequence[GrowingText]) -> None:
        """Run the prompts of these texts, which then grow with the others."""
        engine = self._engine
        with engine.working(fixed_order=False):
            engine.stack.stack(self._trials)
            requests = [text.request for text in texts]
            logits, prompts = prefill(engine.forward, requests, self._trials, engine.limits.scoring.token_slots)
        if self._cache is None or self._logits is None:
            self._cache, self._logits = RunningCache(prompts), logits
        else:
            self._cache.join(prompts)
            self._logits = torch.cat([self._logits, logits])
        virtual = [engine.stack.adapters[request.trial].virtual_tokens for request in requests]
        self._lengths += [len(request.prompt) + more for request, more in zip(requests, virtual, strict=True)]
        self._choosers += [text.decoding.chooser() for text in texts]
        self.texts += texts

    @torch.no_grad()
    def step(self) -> list[GrowingText]:
        """Choose the next token of each text; return those that have ended, or that nobody wants any more."""
        assert self._logits is not None
        chosen = self._choose(self._logits)
        for text, token in zip(self.texts, chosen, strict=True):
            if not text.cancelled:
                text.add(token)
        over = [text.cancelled or text.finish_reason is not None for text in self.texts]
        ended = [text for text, is_over in zip(self.texts, over, strict=True) if is_over]
        stay = [row for row, is_over in enumerate(over) if not is_over]
        if ended:
            self._keep(stay)
        if stay:
            with self._engine.working(fixed_order=False):
                self._logits = self._advance([chosen[row] for row in stay])
        return ended

    def clear(self) -> None:
        """Drop all texts."""
        self._keep([])

    def _choose(self, logits: Tensor) -> list[int]:
        """Return the next token of each text: those that take the likeliest one together, the others each alone."""
        likeliest = logits.argmax(-1).tolist()
        for row, text in enumerate(self.texts):
            if text.decoding.samples:
                one = self._choosers[row](logits[row : row + 1].float(), [text.request.stream], len(text.tokens))
                likeliest[row] = int(one)
        return likeliest

    def _advance(self, tokens: Sequence[int]) -> Tensor:
        """Run a token of each text; return the logits of the next."""
        forward, device = self._engine.forward, self._engine.device
        assert self._cache is not None
        self._cache.next_columns(self._lengths)
        lengths = torch.tensor(self._lengths, device=device)[:, None]
        columns = torch.arange(int(lengths.max()) + 1, device=device)[None].expand(len(tokens), -1)
        forward.stack.route(torch.tensor([text.request.trial for text in self.texts], device=device))
        embeddings = forward.model.get_input_embeddings()(torch.tensor(tokens, device=device)[:, None])
        layout = CacheLayout((columns <= lengths)[:, None, :], lengths, columns)
        self._lengths = [length + 1 for length in self._lengths]
        return forward.head(forward.decode(embeddings, lengths, layout, self._cache)[:, -1])

    def _keep(self, rows: Sequence[int]) -> None:
        self.texts = [self.texts[row] for row in rows]
        self._lengths = [self._lengths[row] for row in rows]
        self._choosers = [self._choosers[row] for row in rows]
        if not rows:
            self._cache = self._logits = None
        elif self._cache is not None:
            self._cache.keep(rows)
