"""`dataset.report=only`: print how much data there is, what was left out and why, and what leaks between parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.inspection.duplicates import Copies, copies, repeated, words
from persona_sweeps.wording import harmless, pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from persona_sweeps.data.store import PreparedData

PARTS = {"train": "train", "eval": "test", "validation": "validation", "prompts": "prompts"}
"""part of a corpus → its name"""
MOST_CHARACTERS = 20
SHOWN = 3
LONGEST = 60
"""characters of a text that is shown as an example"""


def report(corpus: Corpus, evaluated_on: str, prepared: PreparedData | None, console: Console) -> None:
    """Print what the data of a run are; `prepared` is None where the model's tokenizer isn't on this machine."""
    from rich.text import Text

    names = PARTS | {"eval": evaluated_on}
    parts = {names[part]: examples for part in PARTS if (examples := getattr(corpus, part))}
    lengths = {names[part]: _lengths(prepared, part) for part in PARTS} if prepared is not None else {}
    console.print(_sizes(parts, lengths))
    if (characters := _characters(parts)) is not None:
        console.print(characters)
    for line in [*_left_out(corpus, prepared), *_leaks(parts)]:
        console.print(Text(harmless(line)), soft_wrap=True)


def _sizes(parts: Mapping[str, Sequence[Example]], lengths: Mapping[str, Sequence[int]]) -> Any:
    """Return a table with a row for each part."""
    table = _table("part", "examples", "clusters", "words", "longest", "tokens", "longest", "all")
    for name, examples in parts.items():
        counts = [len(words(example.completion)) for example in examples]
        tokens = lengths.get(name, ())
        sizes = [median(tokens), max(tokens), sum(tokens)] if len(tokens) else []
        texts = [f"{size:,.0f}" for size in (median(counts), max(counts), *sizes)]
        clusters = len({example.cluster for example in examples})
        table.add_row(name, f"{len(examples):,}", f"{clusters:,}", *texts, *["–"] * (3 - len(sizes)))
    table.caption = "words of a completion, tokens of a prompt with it: median, longest, all in use"
    return table


def _lengths(prepared: PreparedData, part: str) -> list[int]:
    rows = getattr(prepared, part)
    return [] if rows is None else [len(ids) for ids in rows["input_ids"]]


def _characters(parts: Mapping[str, Sequence[Example]]) -> Any | None:
    """Return a table with a row for each character, those with most examples first; None if there is only one."""
    counts = {name: Counter(example.persona or "–" for example in examples) for name, examples in parts.items()}
    total: Counter[str] = sum(counts.values(), Counter())
    if len(total) < 2:
        return None
    table = _table("character", *parts)
    for character, _ in total.most_common(MOST_CHARACTERS):
        table.add_row(harmless(character), *(f"{counts[name][character]:,}" for name in parts))
    if (more := len(total) - MOST_CHARACTERS) > 0:
        table.caption = f"and {pluralize(more, 'character')} with fewer examples"
    return table


def _table(first: str, *others: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, caption_justify="left", caption_style="dim"
    )
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _left_out(corpus: Corpus, prepared: PreparedData | None) -> list[str]:
    dropped = corpus.dropped if prepared is None else prepared.dropped
    lines = [f"Left out: {count:,} × {reason}." for reason, count in dropped.items()] or ["Nothing was left out."]
    if prepared is not None and prepared.cut:
        lines.append(f"Cut to train.max_length: {pluralize(prepared.cut, 'example')}.")
    if prepared is None:
        lines.append("Tokens aren't counted: the model's tokenizer isn't on this machine.")
    return lines


def _leaks(parts: Mapping[str, Sequence[Example]]) -> list[str]:
    """Return sentences on what stands in two parts, and what stands in one part twice."""
    lines = []
    for name, examples in parts.items():
        if name in ("train", "prompts"):
            continue
        lines += _leak(name, copies(examples, parts["train"]))
    if twice := repeated(parts["train"]):
        lines.append(f"Repeated in train, prompt and completion: {pluralize(twice, 'example')}.")
    return lines


def _leak(part: str, found: Copies) -> list[str]:
    if not found.exact and not found.near:
        return [f"No completion of {part} stands in train, word for word or nearly."]
    lines = []
    if found.exact:
        short = f", {found.short} of them shorter than eight words" if found.short else ""
        lines.append(
            f"In {part} and in train word for word: {len(found.exact):,} of {found.texts:,} completions{short}."
        )
        lines += [_shown(pair) for pair in sorted(found.exact, key=_length)[:SHOWN]]
    if found.near:
        lines.append(
            f"In {part} and nearly so in train: {len(found.near):,} (half or more of their runs of five words)."
        )
        lines += [_shown(pair) for pair in found.near[:SHOWN]]
    return lines


def _length(pair: tuple[Example, Example]) -> int:
    return -len(pair[0].completion)


def _shown(pair: tuple[Example, Example]) -> str:
    text = " ".join(pair[0].completion.split())
    return f"  {pair[0].id} = {pair[1].id}: {text[:LONGEST]}{'…' if len(text) > LONGEST else ''}"
