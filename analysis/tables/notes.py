"""Sentences that several tables share: what their numbers mean, and the results that no table ranks."""

from __future__ import annotations

from collections.abc import Iterable

from ..read.labels import dataset_label, model_label
from ..read.measures import Measure
from ..read.results import RUNNING, RunResult
from ..read.selection import Selection
from ..statistics.spread import MIN_CLUSTERS
from .wording import explained

INTERVALS = (
    "[low, high] is a 95 % interval for another evaluation set of such scenes or dialogues and, where a row has "
    "several seeds, for other seeds too (two-way jackknife over scenes and seeds; Student's t, Wilson's for what lies "
    f"between two ends). It is given from {MIN_CLUSTERS} scenes or dialogues on. Each is of its row or difference by "
    "itself; ranks and p are corrected for all that are compared and pool what seeds vary, so that an interval that "
    "leaves out 0 may stand beside a p above 0.05."
)
PAIRED = (
    "Differences are paired: both sides have the same items, compared by scene or dialogue. p is two-sided and "
    "corrected by Holm for the number of tests in its section."
)
SPREADS = "Seeds of one setting are one row: mean ± sample standard deviation over its seeds."
NOTHING = "No run has been evaluated yet."
CSV = "The CSV of the same name has full precision and the run ids behind each row."
_LONGEST = 300


def units(measures: Iterable[Measure]) -> list[str]:
    """Return one note on what the shown metrics are, each once."""
    sentences = list(dict.fromkeys(explained({measure.name: measure for measure in measures}.values())))
    return [" ".join(sentences)] if sentences else []


def left_out(selection: Selection) -> list[str]:
    """Return a sentence for each result, cell and file that no row shows, with the reason."""
    sentences = [
        f"Not ranked: {_title(result)} {reason(result)}." for result in selection.results if not result.is_scored
    ]
    sentences += [f"Not ranked: no run record for {cell}." for cell in selection.absent]
    sentences += [f"Set aside: {problem.path}: {problem.reason}." for problem in selection.problems]
    return sentences


def _title(result: RunResult) -> str:
    name = result.get("name") or result.folder.name
    evaluation = f", evaluation {result.evaluation_id}" if result.evaluation_id else ""
    return f"{name} ({model_label(result)}, {dataset_label(result)}, run {result.run_id}{evaluation})"


def reason(result: RunResult) -> str:
    """Say how a result that isn't scored ended."""
    if result.status == RUNNING:
        return "is still running, or was stopped without a word"
    if result.status == "completed" and result.evaluation_id is not None and result.has_random_weights:
        return "has random weights, which show what it costs, and nothing of what it says"
    if result.status == "completed":
        return "is trained, and not evaluated yet"
    message = " ".join(str(result.get("failure.message") or result.get("training.pruned") or "").split())
    kind = result.get("failure.type")
    why = ": ".join(str(part) for part in (kind, message) if part)
    if len(why) > _LONGEST:
        why = f"{why[:_LONGEST]}…"
    ended = "was pruned" if result.status == "pruned" else "failed"
    if result.evaluation_id is not None and ended == "failed":
        ended = "could not be evaluated"
    return f"{ended}: {why}" if why else f"{ended}, without a reason in its record"
