"""Whether llama.cpp reads prompts as we do, answers as the model does, and how far its likelihoods lie apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from persona_sweeps.data import corpus_of
from persona_sweeps.data.example import Message
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.deployment.agreement import Agreement, Likelihoods, agreement
from persona_sweeps.deployment.gguf.llama import Llama
from persona_sweeps.deployment.predictor import Predictor
from persona_sweeps.errors import UserError
from persona_sweeps.wording import pluralize

PROMPTS = 8
"""most held-out items whose prompt, greedy answer and likelihood are compared"""
ANSWER_TOKENS = 16
"""of each of these answers"""
SCORED_TOKENS = 256
"""of held-out items, about: llama.cpp is asked for one at a time"""
TOLERANCE = 1e-2
"""the largest mean difference, in nats a token, that rounding weights and sums to F16 explains"""


@dataclass(frozen=True)
class Expected:
    """What a predictor makes of held-out items: prompts as tokens, its greedy answers, and likelihoods."""

    texts: Sequence[Sequence[dict[str, str]] | str]
    """[P] chat messages, or a text where the data have no template"""
    prompts: Sequence[Sequence[int]]
    """[P] the same as tokens"""
    beginnings: Sequence[Sequence[int]]
    answers: Sequence[str]
    """what the model goes on with after each beginning"""
    likelihoods: Likelihoods
    text_of: Callable[[Sequence[int]], str]

    @property
    def context(self) -> int:
        """The most tokens that llama.cpp must read."""
        longest = max(len(sequence.tokens) for sequence in self.likelihoods.sequences)
        return max(longest, *(len(tokens) + ANSWER_TOKENS for tokens in self.beginnings)) + 1


@dataclass(frozen=True)
class Check:
    """A file in llama.cpp: its likelihoods beside those expected, and how many greedy answers are the model's own."""

    agreement: Agreement
    same_answers: int
    answers: int

    def __str__(self) -> str:
        return (
            f"{self.agreement.second:.4f} nats a token, {self.agreement.mean_difference:.1e} from the model's; "
            f"{self.same_answers} of {pluralize(self.answers, 'greedy answer')} the same"
        )


def expect(predictor: Predictor) -> Expected:
    """Return what a file must agree with. Raises `UserError` where the run's data aren't here."""
    held_out = predictor.held_out(PROMPTS)
    items = few(held_out, SCORED_TOKENS)
    renderer = predictor.renderer()
    prompts = [example.prompt for example in corpus_of(predictor.config).eval[:PROMPTS] if example.prompt]
    written = [renderer.prompt_text(prompt) for prompt in prompts]
    raw = predictor.config.dataset.template == "raw"
    beginnings = [item.tokens[: item.loss_from] for item in held_out]
    return Expected(
        written if raw else [_messages(prompt) for prompt in prompts],
        [renderer.prompt_ids(text) for text in written],
        beginnings,
        predictor.continuations(beginnings, ANSWER_TOKENS),
        Likelihoods(items, predictor.sequence_nlls(items)),
        predictor.text,
    )


def check(file: Path, expected: Expected, adapter: Path | None = None) -> Check:
    """Load a file in llama.cpp, and an adapter's file on it, and compare.

    Raises `UserError` if llama.cpp can't load them, or reads a prompt as other tokens.
    """
    with Llama(file, expected.context, adapter) as llama:
        for text, tokens in zip(expected.texts, expected.prompts, strict=True):
            found = llama.prompt_tokens(text)
            if found != list(tokens):
                raise UserError(
                    f"llama.cpp reads a prompt as other tokens than in training: {_difference(tokens, found)}."
                )
        answers = [expected.text_of(llama.greedy(prompt, ANSWER_TOKENS)) for prompt in expected.beginnings]
        items = expected.likelihoods.sequences
        nlls = [llama.nll(item.tokens, item.loss_from) for item in items]
    same = sum(one == other for one, other in zip(answers, expected.answers, strict=True))
    return Check(agreement(expected.likelihoods, Likelihoods(items, nlls)), same, len(answers))


def require_same(found: Check, what: str) -> None:
    """Raise `UserError` if an F16 file differs by more than rounding explains, or most of its greedy answers do."""
    if not (found.agreement.mean_difference <= TOLERANCE and 2 * found.same_answers >= found.answers):
        raise UserError(
            f"{what} answers otherwise in llama.cpp than here: {found}. More than {TOLERANCE:g} is no rounding to F16, "
            "so nothing was written."
        )


def few(items: Sequence[TokenSequence], most: int) -> list[TokenSequence]:
    """Return the first items, as separate ones, the last of them cut, so that at most so many tokens are under loss."""
    found: list[TokenSequence] = []
    for item in items:
        length = min(len(item.tokens), item.loss_from + most)
        if length > item.loss_from:
            found.append(TokenSequence(item.tokens[:length], item.loss_from, len(found)))
            most -= length - item.loss_from
    return found


def _messages(prompt: str | Sequence[Message]) -> list[dict[str, str]]:
    given = [Message("user", prompt)] if isinstance(prompt, str) else prompt
    return [{"role": message.role, "content": message.content} for message in given]


def _difference(ours: Sequence[int], theirs: Sequence[int]) -> str:
    at = next((at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), -1)
    return f"token {at} is {theirs[at]}, not {ours[at]}" if at >= 0 else f"{len(theirs)} of them, not {len(ours)}"
