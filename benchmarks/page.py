"""The table of docs/performance.md, made from the results between two markers; the prose around it is by hand."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import Result
from benchmarks.scenarios import TITLES
from persona_sweeps.errors import UserError
from persona_sweeps.records.files import write_text

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"

HEADINGS = ("Workload", "Precision", "Trained by", "CPU s", "Ratio", "Range", "Token slots", "First-step loss")
RIGHT = {"CPU s", "Ratio", "Token slots"}
SHOWN = ("torch", "transformers", "peft", "trl", "python")


def rewrite(page: Path, results: Sequence[Result]) -> None:
    """Write the table of these results between its markers. Raises UserError if the page or the markers are missing."""
    rewrite_between(page, BEGIN, END, render(results))


def rewrite_between(page: Path, first: str, last: str, content: str) -> None:
    """Replace the text between two markers. Raises UserError if the page or the markers are missing."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise UserError(f"{page} has no {first} … {last} to put the table in; add the two lines.")
    write_text(page, f"{before}{first}\n{content}\n{last}{after}")


def render(results: Sequence[Result]) -> str:
    """Return the table and, below it, where its numbers come from, as Markdown."""
    if not results:
        return "\nNothing has been measured yet.\n"
    ruler = ["---:" if heading in RIGHT else ":---" for heading in HEADINGS]
    rows = [HEADINGS, ruler, *(row for result in results for row in _rows(result))]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"\n{table}\n\n{chr(10).join(_sources(results))}\n"


def _rows(result: Result) -> list[tuple[str, ...]]:
    return [
        (
            result.scenario.title if index == 0 else "",
            _arithmetic(result) if index == 0 else "",
            TITLES[contestant],
            f"{result.cpu_seconds(contestant):.1f}",
            f"{statistics.median(result.ratios(contestant)):.2f}",
            _range(result.ratios(contestant)) if index else "",
            str(result.rounds[0][contestant].token_slots),
            _loss(result, contestant),
        )
        for index, contestant in enumerate(result.scenario.contestants)
    ]


def _arithmetic(result: Result) -> str:
    return result.precision.value + (f", {result.threads} threads" if result.threads > 1 else "")


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f}–{max(values):.2f}"


def _loss(result: Result, contestant: str) -> str:
    """Return the loss of the first step, the mean over trials; other batches have another."""
    losses = result.rounds[0][contestant].first_losses
    text = f"{sum(losses) / len(losses):.4f}"
    return text if contestant in result.scenario.same_batches else f"{text} (other batches)"


def _sources(results: Sequence[Result]) -> list[str]:
    """Return one bullet for each set of results that were measured in the same way."""
    groups: dict[str, list[str]] = {}
    for result in results:
        packages = ", ".join(f"{name} {result.packages[name]}" for name in SHOWN if result.packages.get(name))
        threads = f"{result.threads} thread{'s' * (result.threads != 1)}"
        how = (
            f"{len(result.rounds)} round{'s' * (len(result.rounds) != 1)} on {result.created[:10]}, {result.host_cpu}, "
        )
        groups.setdefault(f"{how}{threads}; {packages}", []).append(f"{result.scenario.name} {_arithmetic(result)}")
    return [f"- {', '.join(names)}: {source}." for source, names in groups.items()]
