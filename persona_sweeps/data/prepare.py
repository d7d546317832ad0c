"""Prepare examples as `datasets.Dataset`s of token ids, once for all trials that share them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.cache import cache_dir
from persona_sweeps.config.schema import RunConfig
from persona_sweeps.data import corpus_of, source_stamp
from persona_sweeps.data.code import code_fingerprint
from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.few_shot import render_with_shots, shots_of
from persona_sweeps.data.rendering import RenderedExample, Renderer
from persona_sweeps.data.store import PreparedData, PreparedPrompts, load_entry, save_entry, to_dataset
from persona_sweeps.data.templates import split_system
from persona_sweeps.data.windows import Windows
from persona_sweeps.errors import NoneFits

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

TOO_LONG = "prompt leaves no room for its completion within train.max_length"
AT_ONCE = 256
"""examples that are rendered and tokenized in one go"""

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
        _memo[memo_key] = load_entry(folder) or save_entry(folder, partial(_prepared, config, corpus, renderer))
    return _memo[memo_key]


def forget_prepared() -> None:
    """Clear the memory of this process; the cache folder stays."""
    _memo.clear()


def prepare_prompts(
    config: RunConfig, examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, solved: Sequence[Example] = ()
) -> PreparedPrompts:
    """Return a metric's own prompts with their completions, in memory, as the run's held-out examples are prepared.

    Those of a character with `solved` examples stand behind few-shot prompts. Raises DataError if none fits.
    """
    fit = _Fit(Renderer(tokenizer, raw=config.dataset.template == "raw"), config)
    rendered = list(fit(examples, "prompt"))
    shots = shots_of(config)
    if shots is not None and {e.persona for e in solved} & {e.persona for e in examples}:
        fitting = list(_with_ids(examples, [row.id for row in rendered]))
        rendered, _ = render_with_shots(fit.renderer, fitting, solved, shots)
    return PreparedPrompts(to_dataset(rendered), dict(fit.dropped), fit.windows)


def _prepared(config: RunConfig, corpus: Corpus, renderer: Renderer, folder: Path | None) -> PreparedData:
    """Render the parts of a corpus into files of a folder; None: in memory."""
    fit = _Fit(renderer, config)

    def part(name: str, rows: Iterable[RenderedExample]) -> Dataset:
        return to_dataset(rows, None if folder is None else folder / name)

    train = part("train", fit(corpus.train, "training"))
    shot_counts: dict[str, int] = {}
    held_out: Iterable[RenderedExample] = fit(corpus.eval, "evaluation")
    if (shots := shots_of(config)) is not None:
        solved = _with_ids(corpus.train, train["id"])
        fitting = list(_with_ids(corpus.eval, [example.id for example in held_out]))
        held_out, shot_counts = render_with_shots(renderer, fitting, solved, shots)
    return PreparedData(
        train=train,
        eval=part("eval", held_out),
        validation=part("validation", fit(corpus.validation, "validation")) if corpus.validation else None,
        prompts=part("prompts", fit.prompts(corpus)) if corpus.prompts else None,
        dropped={**corpus.dropped, **fit.dropped},
        data_fingerprint=corpus.fingerprint,
        template_fingerprint=renderer.template_fingerprint,
        stop_token_ids=renderer.stop_token_ids,
        shots=shot_counts,
        windows=fit.windows,
        cut=fit.cut,
    )


def _with_ids(examples: Iterable[Example], ids: Iterable[str]) -> Iterator[Example]:
    """Yield the examples with these ids, in their order."""
    wanted = set(ids)
    return (example for example in examples if example.id in wanted)


def windows_of(config: RunConfig) -> Windows | None:
    """Return how a run reads examples longer than train.max_length; None if it doesn't read them in windows."""
    if config.dataset.too_long != "windows":
        return None
    length = config.train.max_length
    return Windows(length, config.dataset.stride or max(1, length // 2))


class _Fit:
    """Renders examples, and does with those longer than train.max_length what dataset.too_long says."""

    def __init__(self, renderer: Renderer, config: RunConfig) -> None:
        self.renderer = renderer
        self._source = config.dataset
        self._max_length = config.train.max_length
        self.dropped: Counter[str] = Counter()
        self.cut = 0
        self.windows = windows_of(config)

    def __call__(self, examples: Sequence[Example], part: str) -> Iterator[RenderedExample]:
        """Yield the examples that can be used. Raises DataError if there are none."""
        return self._required(starmap(self._fitted, self._rendered(examples)), examples, part)

    def prompts(self, corpus: Corpus) -> Iterator[RenderedExample]:
        """Yield the prompts that fit, whatever the length of what follows them."""
        whole_texts = not any(example.prompt for example in corpus.eval[:1])
        rows = self._rendered(corpus.prompts, continued=whole_texts)
        return self._required((self._prompt(row) for _, row in rows), corpus.prompts, "prompt")

    def _rendered(
        self, examples: Sequence[Example], continued: bool = False
    ) -> Iterator[tuple[Example, RenderedExample]]:
        for start in range(0, len(examples), AT_ONCE):
            some = list(examples[start : start + AT_ONCE])  # examples on the disk are read once
            rendered = self.renderer.render(some, self._source.loss_on, continued=continued)
            yield from zip(some, rendered, strict=True)

    def _prompt(self, example: RenderedExample) -> RenderedExample | None:
        if example.prompt_length <= self._max_length:
            return replace(example, input_ids=example.input_ids[: example.prompt_length])
        self.dropped[TOO_LONG] += 1
        return None

    def _fitted(self, example: Example, row: RenderedExample) -> RenderedExample | None:
        """Return an example that fits, as it is or cut; None if it is dropped."""
        if len(row.input_ids) <= self._max_length or self.windows is not None:
            return row
        if self._source.too_long == "cut":
            row = self._without_oldest_turns(example, row)
            if row.prompt_length < self._max_length:
                self.cut += 1
                fits = len(row.input_ids) <= self._max_length
                return row if fits else self.renderer.cut(row, self._max_length)
        self.dropped[TOO_LONG] += 1
        return None

    def _without_oldest_turns(self, example: Example, row: RenderedExample) -> RenderedExample:
        """Return a dialogue's example without as many of its oldest turns as make it fit; the last one stays."""
        if isinstance(example.prompt, str):
            return row
        system, turns = split_system(example.prompt)
        while len(row.input_ids) > self._max_length and len(turns) > 2:
            turns = turns[2:]  # a question and its answer
            shorter = replace(example, prompt=(*system, *turns))
            (row,) = self.renderer.render([shorter], self._source.loss_on)
        return row

    def _required(
        self, fitted: Iterable[RenderedExample | None], examples: Sequence[Example], part: str
    ) -> Iterator[RenderedExample]:
        found = False
        for example in fitted:
            if example is not None:
                found = True
                yield example
        if not found:
            shortest = min(len(row.input_ids) for _, row in self._rendered(examples))
            raise NoneFits(
                f"None of the {len(examples)} {part} examples fits in train.max_length={self._max_length} tokens: the "
                f"shortest has {shortest}. Set train.max_length to {shortest} or more, cut them (dataset.too_long=cut) "
                "or read them in windows (dataset.too_long=windows), or make the prompts shorter (dataset.card, "
                "dataset.context_lines).",
                shortest,
            )


def _digest(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
