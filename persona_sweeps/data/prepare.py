"""Prepare examples as `datasets.Dataset`s of token ids, once for all trials that share them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.cache import cache_dir
from persona_sweeps.config.schema import RunConfig
from persona_sweeps.data import corpus_of, source_stamp
from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.few_shot import render_with_shots, shots_of
from persona_sweeps.data.rendering import RenderedExample, Renderer
from persona_sweeps.data.store import PreparedData, load_entry, save_entry, to_dataset
from persona_sweeps.data.templates import split_system
from persona_sweeps.data.windows import Windows
from persona_sweeps.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOO_LONG = "prompt leaves no room for its completion within train.max_length"

_memo: dict[str, PreparedData] = {}


def prepare(config: RunConfig, tokenizer: PreTrainedTokenizerBase, tokenizer_fingerprint: str) -> PreparedData:
    """Return the tokenized train and eval data of a run, from the cache if they were prepared before.

    `tokenizer_fingerprint` must differ whenever the tokens or the chat template differ. Raises `ConfigError` and
    `DataError` as `load_corpus` does, and `DataError` if no example of a side fits in `train.max_length`.
    """
    source, train = config.dataset, config.train
    reading = [source.loss_on, source.template, source.too_long, source.stride, train.max_length, train.monitored]
    settings = [tokenizer_fingerprint, reading, shots_of(config)]
    memo_key = _digest([*settings, source_stamp(source)])
    if memo_key not in _memo:
        corpus = corpus_of(config)
        # Hash the examples themselves, not the keys of their source: the code of another package's source may change.
        examples = [corpus.train_fingerprint, corpus.eval_fingerprint, corpus.fingerprint, corpus.dropped]
        renderer = Renderer(tokenizer, raw=source.template == "raw")
        folder = cache_dir() / "data" / _digest([*settings, *examples, code_fingerprint()])
        _memo[memo_key] = load_entry(folder) or save_entry(folder, _prepared(config, corpus, renderer))
    return _memo[memo_key]


def forget_prepared() -> None:
    """Clear the memory of this process; the cache folder stays."""
    _memo.clear()


def _prepared(config: RunConfig, corpus: Corpus, renderer: Renderer) -> PreparedData:
    fit = _Fit(renderer, config)
    train = fit(corpus.train, "training")
    held_out = fit(corpus.eval, "evaluation")
    validation = fit(corpus.validation, "validation") if corpus.validation else None
    prompts = fit.prompts(corpus.prompts) if corpus.prompts else None
    shot_counts: dict[str, int] = {}
    if (shots := shots_of(config)) is not None:
        solved = _same(corpus.train, train)
        held_out, shot_counts = render_with_shots(renderer, _same(corpus.eval, held_out), solved, shots)
    return PreparedData(
        train=to_dataset(train),
        eval=to_dataset(held_out),
        dropped={**corpus.dropped, **fit.dropped},
        data_fingerprint=corpus.fingerprint,
        template_fingerprint=renderer.template_fingerprint,
        stop_token_ids=renderer.stop_token_ids,
        shots=shot_counts,
        validation=None if validation is None else to_dataset(validation),
        prompts=None if prompts is None else to_dataset(prompts),
        windows=fit.windows,
        cut=fit.cut,
    )


def _same(examples: Sequence[Example], rendered: Sequence[RenderedExample]) -> list[Example]:
    """Return the examples that were rendered, in their order."""
    ids = {example.id for example in rendered}
    return [example for example in examples if example.id in ids]


def windows_of(config: RunConfig) -> Windows | None:
    """Return how a run reads examples longer than train.max_length; None if it doesn't read them in windows."""
    if config.dataset.too_long != "windows":
        return None
    length = config.train.max_length
    return Windows(length, config.dataset.stride or max(1, length // 2))


class _Fit:
    """Renders examples, and does with those longer than train.max_length what dataset.too_long says."""

    def __init__(self, renderer: Renderer, config: RunConfig) -> None:
        self._renderer = renderer
        self._source = config.dataset
        self._max_length = config.train.max_length
        self.dropped: Counter[str] = Counter()
        self.cut = 0
        self.windows = windows_of(config)

    def __call__(self, examples: Sequence[Example], part: str) -> list[RenderedExample]:
        """Return the examples that can be used. Raises DataError if there are none."""
        rendered = self._renderer.render(examples, self._source.loss_on)
        pairs = zip(examples, rendered, strict=True)
        fitting = [fitted for example, row in pairs if (fitted := self._fitted(example, row)) is not None]
        return self._required(fitting, rendered, part)

    def prompts(self, examples: Sequence[Example]) -> list[RenderedExample]:
        """Return the prompts that fit, whatever the length of what follows them."""
        rendered = self._renderer.render(examples, self._source.loss_on)
        fitting = [example for example in rendered if example.prompt_length <= self._max_length]
        self._drop(len(rendered) - len(fitting))
        return self._required(
            [replace(e, input_ids=e.input_ids[: e.prompt_length]) for e in fitting], rendered, "prompt"
        )

    def _fitted(self, example: Example, row: RenderedExample) -> RenderedExample | None:
        """Return an example that fits, as it is or cut; None if it is dropped."""
        if len(row.input_ids) <= self._max_length or self.windows is not None:
            return row
        if self._source.too_long == "cut":
            row = self._without_oldest_turns(example, row)
            if row.prompt_length < self._max_length:
                self.cut += 1
                fits = len(row.input_ids) <= self._max_length
                return row if fits else self._renderer.cut(row, self._max_length)
        self._drop(1)
        return None

    def _without_oldest_turns(self, example: Example, row: RenderedExample) -> RenderedExample:
        """Return a dialogue's example without as many of its oldest turns as make it fit; the last one stays."""
        if isinstance(example.prompt, str):
            return row
        system, turns = split_system(example.prompt)
        while len(row.input_ids) > self._max_length and len(turns) > 2:
            turns = turns[2:]  # a question and its answer
            shorter = replace(example, prompt=(*system, *turns))
            (row,) = self._renderer.render([shorter], self._source.loss_on)
        return row

    def _drop(self, count: int) -> None:
        if count:
            self.dropped[TOO_LONG] += count

    def _required(
        self, fitting: list[RenderedExample], rendered: Sequence[RenderedExample], part: str
    ) -> list[RenderedExample]:
        if fitting:
            return fitting
        shortest = min(len(example.input_ids) for example in rendered)
        raise DataError(
            f"None of the {len(rendered)} {part} examples fits in train.max_length={self._max_length} tokens: the "
            f"shortest has {shortest}. Set train.max_length to {shortest} or more, cut them (dataset.too_long=cut) or "
            "read them in windows (dataset.too_long=windows), or make the prompts shorter (dataset.card, "
            "dataset.context_lines)."
        )


def code_fingerprint() -> str:
    """Return a hash of this package's modules, which decide what examples and tokens the same bytes give."""
    return _digest([path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))])


def _digest(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
