"""Prepare examples as `datasets.Dataset`s of token ids, once for all trials that share them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.cache import cache_dir
from persona_sweeps.config.schema import RunConfig
from persona_sweeps.data import corpus_of, source_stamp
from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.few_shot import render_with_shots, shots_of
from persona_sweeps.data.rendering import RenderedExample, Renderer
from persona_sweeps.data.store import PreparedData, load_entry, save_entry, to_dataset
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
    settings = [tokenizer_fingerprint, config.dataset.loss_on, config.train.max_length, shots_of(config)]
    memo_key = _digest([*settings, config.train.monitored, source_stamp(config.dataset)])
    if memo_key not in _memo:
        corpus = corpus_of(config)
        # Hash the examples themselves, not the keys of their source: the code of another package's source may change.
        examples = [corpus.train_fingerprint, corpus.eval_fingerprint, corpus.fingerprint, corpus.dropped]
        folder = cache_dir() / "data" / _digest([*settings, *examples, code_fingerprint()])
        _memo[memo_key] = load_entry(folder) or save_entry(folder, _prepared(config, corpus, Renderer(tokenizer)))
    return _memo[memo_key]


def forget_prepared() -> None:
    """Clear the memory of this process; the cache folder stays."""
    _memo.clear()


def _prepared(config: RunConfig, corpus: Corpus, renderer: Renderer) -> PreparedData:
    loss_on, max_length = config.dataset.loss_on, config.train.max_length
    train, too_long_train = _fitting(renderer, corpus.train, loss_on, max_length, "training")
    held_out, too_long_eval = _fitting(renderer, corpus.eval, loss_on, max_length, "evaluation")
    shot_counts: dict[str, int] = {}
    if (shots := shots_of(config)) is not None:
        solved = _same(corpus.train, train)
        held_out, shot_counts = render_with_shots(renderer, _same(corpus.eval, held_out), solved, shots)
    dropped = dict(corpus.dropped)
    if too_long_train + too_long_eval:
        dropped[TOO_LONG] = too_long_train + too_long_eval
    return PreparedData(
        train=to_dataset(train),
        eval=to_dataset(held_out),
        dropped=dropped,
        data_fingerprint=corpus.fingerprint,
        template_fingerprint=renderer.template_fingerprint,
        stop_token_ids=renderer.stop_token_ids,
        shots=shot_counts,
    )


def _same(examples: Sequence[Example], rendered: Sequence[RenderedExample]) -> list[Example]:
    """Return the examples that were rendered, in their order."""
    ids = {example.id for example in rendered}
    return [example for example in examples if example.id in ids]


def _fitting(
    renderer: Renderer, examples: Sequence[Example], loss_on: str, max_length: int, side: str
) -> tuple[list[RenderedExample], int]:
    """Render examples; return those of at most `max_length` tokens, and the number of the others."""
    rendered = renderer.render(examples, loss_on)
    fitting = [example for example in rendered if len(example.input_ids) <= max_length]
    if not fitting:
        shortest = min(len(example.input_ids) for example in rendered)
        raise DataError(
            f"None of the {len(rendered)} {side} examples fits in train.max_length={max_length} tokens: the shortest "
            f"has {shortest}. Set train.max_length to {shortest} or more, or make the prompts shorter "
            "(dataset.card, dataset.context_lines)."
        )
    return fitting, len(rendered) - len(fitting)


def code_fingerprint() -> str:
    """Return a hash of this package's modules, which decide what examples and tokens the same bytes give."""
    return _digest([path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))])


def _digest(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
