"""What a study's metrics are called on an axis, and how their values are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..tables import numbers


def four_digits(value: float) -> str:
    return f"{value:.4g}"


@dataclass(frozen=True)
class Measure:
    """A metric's name with its unit, and the form of its values; `a_token` where a tokenizer decides what it counts."""

    label: str
    form: Callable[[float], str] = numbers.three_decimals
    a_token: bool = False


_NLL, _PPL = "NLL (nats a token)", "perplexity (a token)"
MEASURES: dict[str, Measure] = {
    "completion_nll": Measure(f"completion {_NLL}", a_token=True),
    "completion_ppl": Measure(f"completion {_PPL}", numbers.perplexity, a_token=True),
    "all_tokens_nll": Measure(f"all-token {_NLL}", a_token=True),
    "all_tokens_ppl": Measure(f"all-token {_PPL}", numbers.perplexity, a_token=True),
    "training.best_eval_nll": Measure(f"best completion {_NLL}", a_token=True),
    "training.final_train_nll": Measure(f"last training {_NLL}", a_token=True),
    "bits_per_byte": Measure("bits a byte"),
    "rouge1": Measure("ROUGE-1 (F-measure)"),
    "rouge2": Measure("ROUGE-2 (F-measure)"),
    "rougeL": Measure("ROUGE-L (F-measure)"),
    "rougeLsum": Measure("ROUGE-Lsum (F-measure)"),
    "bleu": Measure("BLEU (0–1)"),
    "training.trainable_parameters": Measure("trainable parameters", numbers.count),
    "training.tokens": Measure("training tokens", numbers.count),
    "resources.cpu_seconds": Measure("CPU seconds", four_digits),
    "resources.wall_seconds": Measure("wall seconds", four_digits),
}
"""by the name that `hydra.sweeper.metric` has; any other is called by that name"""


def measure(metric: str) -> Measure:
    """Return what is known of a metric."""
    return MEASURES.get(metric, Measure(metric, four_digits))
