"""What a metric is: it says which predictions it needs, scores them per item and whole, and describes its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig


@dataclass(frozen=True, slots=True)
class Request:
    """What a metric asks of a predictor: texts, or the NLLs of given texts, for a prompt set.

    `kind="text"`: a completion of each prompt, decoded as `generation=` says. `kind="nll"`: the summed NLL of each
    prompt's reference; `loss_on` says of which tokens (the completion's with its end token, or all but the first).
    """

    kind: Literal["text", "nll"]
    loss_on: Literal["completion", "all_tokens"] = "completion"
    prompt_set: str = "held_out"

    @property
    def needs_model(self) -> bool:
        """Whether a predictor without probabilities can't answer it."""
        return self.kind == "nll"


TEXT = Request("text")
NLL = Request("nll")
NLL_ALL_TOKENS = Request("nll", "all_tokens")

Line = Mapping[str, Any]
"""A prediction: `id`, `cluster`, `persona`, `prompt`, `reference`, and what was asked for: `text`; or `nll` (summed, in
nats), `tokens` (labels that it sums over), `bytes` (UTF-8 bytes of the reference)."""
Predictions = Mapping[Request, Sequence[Line]]
"""all that a metric asked for, the same items in the same order under each request"""


@dataclass(frozen=True, slots=True)
class Description:
    """What a reader of records has to know of one value, so that it knows no metric by name.

    `aggregate` says how the whole follows from any set of items (the lines of an evaluation's samples):
    {"form": "mean", "of": COLUMN}; {"form": "ratio", "numerator": [COLUMN, …], "denominator": [COLUMN, …], "scale": c,
    "exp": bool}, where a list of columns is multiplied item by item, then summed; {"form": "ngram_precision", "of":
    COLUMN} with a list of sums in each item (matches and totals of 1- to 4-grams, and both lengths), as corpus BLEU.
    `per_token` is true where the value depends on the tokenizer, so that models with others can't be compared by it.
    `log_scale`: it is positive without bound, so it is compared by ratios. `format` is a Python format of the value.
    """

    label: str
    """how a column is headed"""
    higher_is_better: bool
    range: tuple[float | None, float | None]
    version: str
    """what tells two ways of computing this value apart"""
    aggregate: Mapping[str, Any]
    per_token: bool = False
    log_scale: bool = False
    format: str = ".3f"
    family: str = ""
    """the metric of `metrics=` that it belongs to, by the name that it has there; whoever records it fills it in"""
    explanation: str = ""
    """what it is, as a clause for a note under a table: `BLEU is …`, without a full stop"""
    headline: int = 0
    """tables show and rank by values with larger numbers first; 0: only where it is asked for"""

    def as_record(self) -> dict[str, Any]:
        """Return it as a record holds it."""
        found = asdict(self)
        found["range"] = list(self.range)
        return found


@dataclass(frozen=True, slots=True)
class Scores:
    """`whole`: the values of the evaluation, by name; `items`: columns of each item, in the order of the predictions.

    An item has the metric's own values and the columns that its descriptions' aggregates name; it may be empty.
    """

    whole: dict[str, float]
    items: list[dict[str, Any]]


@dataclass
class Metric:
    """One option of `metrics=`. Subclasses add their keys as fields; a subclass is all that is known of the metric."""

    def check(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each thing that is wrong with its keys, or that this run can't give it."""
        yield from ()

    def requests(self) -> tuple[Request, ...]:
        """Return the predictions that it scores."""
        raise NotImplementedError

    @property
    def needs_model(self) -> bool:
        """Whether a predictor without probabilities can't give it what it scores."""
        return any(request.needs_model for request in self.requests())

    def version(self) -> str:
        """Return what tells two ways of scoring apart: package versions and all settings. Imports nothing heavy."""
        raise NotImplementedError

    def describe(self) -> dict[str, Description]:
        """Return a description of each value it gives, by the value's name."""
        raise NotImplementedError

    def score(self, predictions: Predictions) -> Scores:
        """Score the predictions. Raises TrialError where they can't be scored, such as an NLL that is not finite."""
        raise NotImplementedError
