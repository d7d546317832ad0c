"""What the data of a run amount to: the tokens and the largest pass of training, and the texts that are generated.

Tokens are counted with the model's tokenizer where it is on this machine, and guessed from the texts' lengths where it
isn't.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from persona_sweeps.config.schema import RunConfig
from persona_sweeps.data.sequences import token_lengths
from persona_sweeps.device import resolve_device
from persona_sweeps.models.activations import PassSize
from persona_sweeps.models.source import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from persona_sweeps.data.packing import TokenSequence
    from persona_sweeps.data.store import PreparedData

MOST_STEPS = 2000
"""most steps of an epoch that are packed to count tokens; a longer epoch is extrapolated"""
MOST_KEPT = 20_000
"""sequences of some data that are kept for the next run"""
BYTES_A_TOKEN = 4.0
"""UTF-8 bytes of English text to a token, where no tokenizer is at hand"""


@dataclass(frozen=True, slots=True)
class TrainingTokens:
    """What training computes."""

    tokens: int
    """of the examples seen in training"""
    computed: int
    """token slots computed for them, shared prefixes counted once a row"""
    largest: PassSize
    steps: int
    """of the optimizer"""


NO_TRAINING = TrainingTokens(0, 0, PassSize(), 0)


def training_tokens(config: RunConfig, weights: Weights, group_size: int, most_slots: int) -> TrainingTokens:
    """Return what training amounts to when so many trials share the passes, this one among them.

    A pass has at most `most_slots` token slots.
    """
    if has_tokenizer(config, weights):
        return _measured(config, group_size, most_slots)
    return _guessed(config, group_size, most_slots)


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """What an evaluation computes."""

    scored: int
    """tokens of the held-out examples"""
    texts: int
    """how many are generated"""
    prompts: int
    """tokens of their prompts"""
    longest: int
    """of the prompts"""


def answer_tokens(config: RunConfig, weights: Weights) -> AnswerTokens:
    """Return what a run's evaluation amounts to; prompts of a metric's own don't count."""
    from persona_sweeps.data import corpus_of
    from persona_sweeps.data.few_shot import guessed_length

    limit = config.generation.limit
    if has_tokenizer(config, weights):
        prepared = _prepared(config)
        scored, prompts = sum(token_lengths(prepared.eval).tolist()), prepared.texts["prompt_length"][:limit]
        longest = max(prompts)
    else:
        corpus = corpus_of(config)
        examples = corpus.prompts or corpus.eval
        prompts = [round(_length(example.prompt) / BYTES_A_TOKEN) for example in examples][:limit]
        scored = round(sum(_length(e.prompt) + _length(e.completion) for e in corpus.eval) / BYTES_A_TOKEN)
        longest = guessed_length(config, min(config.train.max_length, max(prompts)))
    wanted = len(prompts) if config.new_tokens else 0
    return AnswerTokens(scored, wanted, sum(prompts) if wanted else 0, longest)


def cached_slots(config: RunConfig, answers: AnswerTokens) -> int:
    """Return the token slots of the texts that are generated side by side, each as wide as the longest."""
    from persona_sweeps.prediction.generation import SEQUENCES

    together = min(answers.texts, SEQUENCES[resolve_device(config.device)])
    return together * (answers.longest + config.peft.virtual_tokens + config.new_tokens)


def has_tokenizer(config: RunConfig, weights: Weights) -> bool:
    """Whether the tokenizer can be had without the network."""
    if weights.is_here:
        return True
    from huggingface_hub import try_to_load_from_cache

    card = config.model
    return isinstance(try_to_load_from_cache(card.hub_id, "tokenizer_config.json", revision=card.revision), str)


def _prepared(config: RunConfig) -> PreparedData:
    from persona_sweeps.data.prepare import prepare
    from persona_sweeps.models.loading import load_tokenizer, tokenizer_fingerprint

    card = str(config.model)
    if card not in _tokenizers:
        _tokenizers.clear()
        tokenizer = load_tokenizer(config.model)
        _tokenizers[card] = tokenizer, tokenizer_fingerprint(config.model, tokenizer)
    return prepare(config, *_tokenizers[card])


_tokenizers: dict[str, tuple[PreTrainedTokenizerBase, str]] = {}
"""the last one, with its fingerprint: the next run often has the same"""


def _measured(config: RunConfig, group_size: int, most_slots: int) -> TrainingTokens:
    """Pack the first epoch's batches as the engine will."""
    prepared = _prepared(config)
    if not _last or _last[0] is not prepared:
        _last[:] = [prepared, _Counts(prepared)]
    return _last[1].of(config, group_size, most_slots)  # type: ignore[union-attr]


_last: list[PreparedData | _Counts] = []
"""the data of the run before with their counts: the next run often has the same"""


class _Counts:
    """What was counted for one set of data; runs whose batches are the same share it."""

    def __init__(self, prepared: PreparedData) -> None:
        from persona_sweeps.data.sequences import TrainingSequences

        self._sequences = TrainingSequences(prepared)
        self._sequence = lru_cache(maxsize=MOST_KEPT)(self._sequences.__getitem__)
        """the next seed has the same sequences in another order"""
        self._counted: dict[tuple[object, ...], TrainingTokens] = {}

    def of(self, config: RunConfig, group_size: int, most_slots: int) -> TrainingTokens:
        train = config.train
        sharing = (
            train.batch_size, train.micro_batch_size, train.epochs, train.max_steps, config.seed,
            config.peft.virtual_tokens, config.device, group_size, most_slots,
        )  # fmt: skip
        if sharing not in self._counted:
            self._counted[sharing] = self._count(config, group_size, most_slots)
        return self._counted[sharing]

    def _count(self, config: RunConfig, group_size: int, most_slots: int) -> TrainingTokens:
        from persona_sweeps.training.order import batches, steps_per_epoch, total_steps
        from persona_sweeps.training.trial import unit_lengths

        units, train = self._sequences.units, config.train
        per_epoch = steps_per_epoch(len(units), train.batch_size)
        steps = total_steps(len(units), train.batch_size, train.epochs, train.max_steps)
        order = batches(unit_lengths(self._sequences, units), train.batch_size, config.seed, steps)
        tokens, computed, largest = 0, 0, PassSize()
        looked_at = min(steps, per_epoch, MOST_STEPS)
        for _ in range(looked_at):
            chosen = [self._sequence(index) for unit in next(order) for index in units[unit]]
            slots, size = pass_of(chosen, config, group_size, most_slots)
            tokens += sum(len(sequence.tokens) for sequence in chosen)
            computed += slots
            largest = max(largest, size, key=lambda one: (one.slots + one.path_slots, one.scores))
        scale = steps / looked_at
        return TrainingTokens(round(tokens * scale), round(computed * scale), largest, steps)


def pass_of(
    chosen: Sequence[TokenSequence], config: RunConfig, group_size: int, most_slots: int
) -> tuple[int, PassSize]:
    """Return a step's token slots, and the size of its largest pass if the whole group has such a step."""
    from persona_sweeps.data.packing import pack
    from persona_sweeps.models.attention import tree_layout
    from persona_sweeps.models.batch import split_passes
    from persona_sweeps.training.recording import PADDING
    from persona_sweeps.training.trial import ROW_TOKEN_SLOTS, with_virtual_tokens

    virtual = config.peft.virtual_tokens
    size = config.train.micro_batch_size or len(chosen)
    sequences = [with_virtual_tokens(sequence, virtual) for sequence in chosen]
    micro = [pack(sequences[start : start + size], ROW_TOKEN_SLOTS) for start in range(0, len(sequences), size)]
    largest = max(micro, key=lambda rows: sum(map(len, rows)))
    passes = split_passes([(trial, row) for trial in range(group_size) for row in largest], most_slots)
    rows = [row for _, row in max(passes, key=lambda rows: len(rows) * max(len(row) for _, row in rows))]
    length = max(map(len, rows))
    computed = sum(len(row) for rows in micro for row in rows)
    if resolve_device(config.device) != "cpu":
        return computed, PassSize(slots=len(rows) * -(-length // PADDING.slots) * PADDING.slots)
    shapes = [(*bucket.queries.shape, bucket.keys.shape[1]) for bucket in tree_layout(rows, length, "cpu").buckets]
    size_of_pass = PassSize(
        slots=len(rows) * length,
        path_slots=sum(branches * k for branches, _, k in shapes),
        scores=sum(branches * q * k for branches, q, k in shapes),
    )
    return computed, size_of_pass


def _guessed(config: RunConfig, group_size: int, most_slots: int) -> TrainingTokens:
    """Guess from the lengths of the texts; nothing is known to be shared."""
    from persona_sweeps.training.order import total_steps

    lengths = _guessed_lengths(config)
    mean = sum(lengths) / len(lengths)
    train = config.train
    steps = total_steps(len(lengths), train.batch_size, train.epochs, train.max_steps)
    tokens = round(mean * steps * min(train.batch_size, len(lengths)))
    size = min(train.micro_batch_size or train.batch_size, len(lengths))
    slots = round(min(mean * size * group_size, max(most_slots, mean * size)))
    return TrainingTokens(tokens, tokens, PassSize(slots, slots, round(slots * mean)), steps)


def _guessed_lengths(config: RunConfig) -> list[int]:
    """Return the tokens of each training example, as far as its text says."""
    from persona_sweeps.data import corpus_of
    from persona_sweeps.data.prepare import windows_of

    texts = [_length(example.prompt) + _length(example.completion) for example in corpus_of(config).train]
    lengths = [max(2, round(size / BYTES_A_TOKEN)) for size in texts]
    if (windows := windows_of(config)) is not None:
        return [end - begin for length in lengths for begin, end in windows.spans(length)]
    return [min(config.train.max_length, length) for length in lengths]


def _length(text: object) -> int:
    """UTF-8 bytes of a text, or of all messages."""
    parts = [text] if isinstance(text, str) else [message.content for message in text]  # type: ignore[attr-defined]
    return sum(len(part.encode()) for part in parts)
