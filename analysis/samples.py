"""Reads the evaluation items of a run from its samples.jsonl."""

from __future__ import annotations

import json
import math
from pathlib import Path

from analysis.records import Record
from analysis.statistics import Item, token_nll

TOLERANCE = 1e-3
"""Relative difference that the items' perplexity may have from the record's."""


class SamplesError(ValueError):
    """The items can't be used; the message says why, naming the file."""


def read_items(record: Record) -> list[Item] | None:
    """Return the items with their likelihood; None when the run has no samples.jsonl or measured no likelihood.

    Raises `SamplesError` when a line is malformed or the items don't give the perplexity of the record.
    """
    path = record.folder / "samples.jsonl"
    recorded = record.number("metrics.completion_ppl")
    if recorded is None or not path.exists():
        return None
    try:
        with path.open(encoding="utf-8") as lines:
            items = [_item(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SamplesError(f"{path} is unreadable: {error}") from error
    if not items:
        raise SamplesError(f"{path} is empty")
    with_items = math.exp(min(token_nll(items), 700))
    if not math.isclose(with_items, recorded, rel_tol=TOLERANCE):
        raise SamplesError(f"{path} gives a perplexity of {with_items:.4g}, its record {recorded:.4g}")
    return items


def _item(path: Path, number: int, text: str) -> Item:
    try:
        line = json.loads(text)
        nll, tokens, cluster = float(line["completion_nll"]), int(line["completion_tokens"]), str(line["cluster"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise SamplesError(f"{path} line {number}: {type(error).__name__} {error}") from error
    if tokens < 1:
        raise SamplesError(f"{path} line {number}: completion_tokens is {tokens}")
    return Item(cluster=cluster, nll=nll, tokens=tokens)
