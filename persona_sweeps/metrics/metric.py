"""The base class of metrics: a metric says which predictions it needs, scores them, and describes its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.example import Example
    from persona_sweeps.data.run_data import RunData

HELD_OUT = "held_out"
"""the prompt set of the run's own data: its held-out prompts"""


@dataclass(frozen=True, slots=True)
class Request:
    """A metric's request to a predictor: texts, or the NLLs of given texts, for a prompt set.

    `kind="text"`: a completion of each prompt, decoded as `generation=` sets. `kind="nll"`: the summed NLL of each
    prompt's reference, over the tokens of `loss_on` (the completion's with its end token, or all except the first).
    `prompt_set` is `held_out`, or a name that begins with the metric's own: `Metric.prompts` makes these (NLLs only).
    `by="base"` asks the untuned base model instead of the run's predictor, without its shots.
    """

    kind: Literal["text", "nll"]
    loss_on: Literal["completion", "all_tokens"] = "completion"
    prompt_set: str = HELD_OUT
    by: Literal["run", "base"] = "run"

    @property
    def needs_model(self) -> bool:
        """Whether it needs a predictor with probabilities."""
        return self.kind == "nll"

    def as_record(self) -> dict[str, str]:
        """Return it as JSON for a record, and for an id; who answers is left out where it is the run."""
        record = asdict(self)
        return record if self.by != "run" else {key: value for key, value in record.items() if key != "by"}


TEXT = Request("text")
NLL = Request("nll")
NLL_ALL_TOKENS = Request("nll", "all_tokens")

Line = Mapping[str, Any]
"""a prediction: `id`, `cluster`, `persona`, `prompt`, `reference`, and the answer: `text` and whether it is `finished`
(by itself, not cut off by generation.max_new_tokens); or `nll` (summed, in nats), `tokens` (labels that it sums over),
`bytes` (UTF-8 bytes of the reference)"""
Predictions = Mapping[Request, Sequence[Line]]
"""the answers to all of a metric's requests. Those to `held_out` have the same items in the same order; those to a
prompt set of the metric's own have all its prompts that fit in train.max_length"""


@dataclass(frozen=True, slots=True)
class Description:
    """What a reader of records must know about one value, so that it needs no metric's name.

    `aggregate` says how the whole follows from any set of items (the lines of an evaluation's samples):
    {"form": "mean", "of": COLUMN}; {"form": "ratio", "numerator": [COLUMN, …], "denominator": [COLUMN, …], "scale": c,
    "exp": bool, "signed": bool}, where a list of columns is multiplied item by item, then summed, and the denominator
    is what an item weighs unless it is signed; {"form": "ngram_precision", "of":
    COLUMN} with a list of sums in each item (matches and totals of 1- to 4-grams, and both lengths), as corpus BLEU.
    `per_token` is true where the value depends on the tokenizer, so that models with others can't be compared by it.
    `log_scale`: it is positive without bound, so it is compared by ratios. `format` is a Python format of the value.
    """

    label: str
    """the heading of its column"""
    higher_is_better: bool | None
    """None: neither is"""
    range: tuple[float | None, float | None]
    version: str
    """distinguishes two ways of computing this value"""
    aggregate: Mapping[str, Any]
    per_token: bool = False
    log_scale: bool = False
    format: str = ".3f"
    family: str = ""
    """the name of its metric in `metrics=`; filled in when it is recorded"""
    explanation: str = ""
    """a clause for a note under a table: `BLEU is …`, without a full stop"""
    headline: int = 0
    """tables show and rank by values with larger numbers first; 0: only on request"""
    character: int = 0
    """its place among the columns of the table `characters`, smaller numbers first; 0: it isn't one of them"""
    matrix: Mapping[str, str] | None = None
    """the columns of an item with a matrix of characters: `speaker`, `gain`, `nll` and `tokens` → the column's name"""

    def as_record(self) -> dict[str, Any]:
        """Return it as JSON for a record."""
        return asdict(self) | {"range": list(self.range)}


@dataclass(frozen=True, slots=True)
class Scores:
    """A metric's scores. `whole` has the evaluation's values by name, `items` the columns of each item, in order.

    An item has its values, and the columns that the descriptions' aggregates name; it may be empty. `lines` are the
    predictions that the items belong to; None: the answers to the metric's first request, in their order. `remarks` are
    sentences for a note under tables that show the values, such as how far a classifier can be trusted; `details` is
    JSON for the record.
    """

    whole: dict[str, float]
    items: list[dict[str, Any]]
    lines: Sequence[Line] | None = None
    remarks: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Metric:
    """The base of all options of `metrics=`. Subclasses add their keys as fields; nothing else knows the metric."""

    def check(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each wrong key, and for each thing that it needs and this run can't give."""
        yield from ()

    def requests(self) -> tuple[Request, ...]:
        """Return the requests for the predictions that it scores."""
        raise NotImplementedError

    @property
    def needs_model(self) -> bool:
        """Whether it needs a predictor with probabilities."""
        return any(request.needs_model for request in self.requests())

    def prompts(self, prompt_set: str, data: RunData) -> Sequence[Example]:
        """Return a prompt set that its requests name: each prompt with the completion whose NLL is asked for.

        Their ids are unique in the set, and don't depend on which others are in it. Called before any model is loaded.
        """
        raise NotImplementedError(f"{type(self).__name__}.prompts")

    def fingerprint(self, data: RunData) -> str | None:
        """Return a hash of what it reads of the run's data when it scores; None if the predictions are all."""
        return None

    def version(self) -> str:
        """Return a text that distinguishes ways of scoring: package versions and settings. Imports nothing heavy."""
        raise NotImplementedError

    def describe(self) -> dict[str, Description]:
        """Return a description of each of its values, by name."""
        raise NotImplementedError

    def score(self, predictions: Predictions) -> Scores:
        """Score the predictions. Raises TrialError if they can't be scored, such as an NLL that isn't finite.

        Also called with the predictions for one character of several.
        """
        raise NotImplementedError

    def score_with(self, predictions: Predictions, data: RunData) -> Scores:
        """Score the predictions with the run's data at hand; a metric that reads them defines this, not `score`."""
        return self.score(predictions)
