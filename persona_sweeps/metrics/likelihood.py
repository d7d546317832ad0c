"""Metric `likelihood`: perplexity, nats a token and bits a byte of what the character really says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from persona_sweeps.errors import Diverged
from persona_sweeps.metrics.metric import NLL, NLL_ALL_TOKENS, Description, Line, Metric, Predictions, Request, Scores

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

VERSION = "1"
"""version of the formulas below"""
SCORING_VERSION = "2"
"""version of the set of values, which has grown by words"""


@dataclass
class Likelihood(Metric):
    """Score each reference by its NLL: the mean for each token, the perplexity, and bits for each byte of its text.

    Means are over tokens, not over items: the perplexity is the exponential of the mean NLL of a token. `mean_of_exp`
    adds the mean of the items' own perplexities, as some papers have it. `word_ppl` is the perplexity of a word, words
    being what stands between spaces; like bits a byte it can be compared between tokenizers (Mielke 2019, "Can you
    compare perplexity across different segmentations?").
    """

    all_tokens: bool = MISSING
    mean_of_exp: bool = False

    def check(self, config: RunConfig) -> Iterator[str]:
        if self.all_tokens and config.peft.shots:
            yield (
                f"metrics.likelihood.all_tokens=true would score the shots of peft={config.peft.method} with every "
                "prompt: set it to false."
            )

    def requests(self) -> tuple[Request, ...]:
        return (NLL, NLL_ALL_TOKENS) if self.all_tokens else (NLL,)

    def version(self) -> str:
        return f"{SCORING_VERSION}, mean of exp" if self.mean_of_exp else SCORING_VERSION

    def describe(self) -> dict[str, Description]:
        bits = Description(
            label="bits/byte",
            higher_is_better=False,
            range=(0.0, None),
            version=VERSION,
            aggregate=_ratio(["completion_nll", "completion_tokens"], "completion_bytes", scale=1 / math.log(2)),
            explanation="bits/byte is the negative log-likelihood of a completion in bits for each UTF-8 byte of its "
            "text, comparable between tokenizers",
            headline=40,
            character=10,
        )
        descriptions = _described("completion", "completion_tokens", "", "completion token", 50)
        descriptions["bits_per_byte"] = bits
        descriptions["word_ppl"] = Description(
            label="word PPL",
            higher_is_better=False,
            range=(1.0, None),
            version=VERSION,
            aggregate=_ratio(["completion_nll", "completion_tokens"], "completion_words", exp=True),
            log_scale=True,
            format=".1f",
            explanation="word PPL is the perplexity of a word of a completion, its end with it, comparable between "
            "tokenizers",
        )
        if self.mean_of_exp:
            descriptions["mean_of_exp"] = Description(
                label="mean PPL",
                higher_is_better=False,
                range=(1.0, None),
                version=VERSION,
                aggregate={"form": "mean", "of": "item_ppl"},
                per_token=True,
                log_scale=True,
                format=".2f",
                explanation="mean PPL is the mean of the items' own perplexities, which a few unlikely items decide",
                headline=45,
            )
        if self.all_tokens:
            descriptions |= _described("all_tokens", "all_tokens_count", "all-token ", "token, the prompt's among them")
        return descriptions

    def score(self, predictions: Predictions) -> Scores:
        """Score the NLLs. Raises Diverged if one isn't finite."""
        lines = predictions[NLL]
        whole = _per_token("completion", lines)  # first, since it rejects values that no item can use
        items = [
            {
                "completion_nll": line["nll"] / line["tokens"],
                "completion_tokens": line["tokens"],
                "completion_bytes": line["bytes"],
                "completion_words": _words(line),
            }
            for line in lines
        ]
        if self.mean_of_exp and lines:
            for item in items:
                item["item_ppl"] = _exp(item["completion_nll"])
            whole["mean_of_exp"] = math.fsum(item["item_ppl"] for item in items) / len(items)
        if lines:
            whole["bits_per_byte"] = _sum(lines, "nll") / math.log(2) / max(1, _sum(lines, "bytes"))
            whole["word_ppl"] = _exp(_sum(lines, "nll") / sum(map(_words, lines)))
        if self.all_tokens:
            every = predictions[NLL_ALL_TOKENS]
            whole |= _per_token("all_tokens", every)
            for item, line in zip(items, every, strict=True):
                item |= {"all_tokens_nll": line["nll"] / line["tokens"], "all_tokens_count": line["tokens"]}
        return Scores(whole, items)


def _per_token(name: str, lines: Sequence[Line]) -> dict[str, float]:
    """Return the mean NLL of a token and its exponential; an empty dict for no items."""
    if not all(line["nll"] is not None and math.isfinite(line["nll"]) for line in lines):
        raise Diverged("the likelihood of held-out examples was not a finite number; lower train.learning_rate")
    if not lines:
        return {}
    mean = _sum(lines, "nll") / _sum(lines, "tokens")
    return {f"{name}_nll": mean, f"{name}_ppl": _exp(mean)}


def _words(line: Line) -> int:
    """Return the number of words of a reference; one without any has its end to say."""
    return max(1, len(line["reference"].split()))


def _exp(nll: float) -> float:
    return math.exp(nll) if nll < 700 else math.inf


def _sum(lines: Sequence[Line], column: str) -> float:
    """Return an exact sum, so that the order of the items can't matter."""
    return math.fsum(line[column] for line in lines)


def _described(name: str, tokens: str, kind: str, of: str, headline: int = 0) -> dict[str, Description]:
    """Return descriptions of the two values of `_per_token`; `tokens` is the column with the number of tokens."""
    columns = [f"{name}_nll", tokens]
    return {
        f"{name}_ppl": Description(
            label=f"{kind}PPL",
            higher_is_better=False,
            range=(1.0, None),
            version=VERSION,
            aggregate=_ratio(columns, tokens, exp=True),
            per_token=True,
            log_scale=True,
            format=".2f",
            explanation=f"{kind}PPL is the perplexity of a {of}",
            headline=headline,
        ),
        f"{name}_nll": Description(
            label=f"{kind}NLL",
            higher_is_better=False,
            range=(0.0, None),
            version=VERSION,
            aggregate=_ratio(columns, tokens),
            per_token=True,
            explanation=f"{kind}NLL is the negative log-likelihood of a {of}, in nats",
        ),
    }


def _ratio(numerator: list[str], denominator: str, scale: float = 1.0, exp: bool = False) -> dict[str, Any]:
    return {"form": "ratio", "numerator": numerator, "denominator": [denominator], "scale": scale, "exp": exp}
