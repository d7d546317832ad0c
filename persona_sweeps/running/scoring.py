"""Evaluate the runs of a group side by side: the likelihood of held-out completions, and generated texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from persona_sweeps.planning.cells import Cell
from persona_sweeps.records.identity import needs_generation
from persona_sweeps.running.group_run import Evaluated, Member

if TYPE_CHECKING:
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.engine import Engine


def evaluate(engine: Engine, members: Sequence[Member], base: BaseModel) -> dict[int, Evaluated]:
    """Score all members' completions in shared passes, and generate all their texts side by side."""
    nll = engine.evaluation_nll([member.index for member in members])
    found = {member.index: Evaluated(nll[member.index]) for member in members}
    for index, sums in engine.sequence_nll(
        {m.index: m.data.all_tokens for m in members if _wants_all_tokens(m.cell)}
    ).items():
        found[index].all_tokens_nll = sums
    _generate(engine, [member for member in members if needs_generation(member.cell.resolved)], base, found)
    return found


def _generate(engine: Engine, members: Sequence[Member], base: BaseModel, found: dict[int, Evaluated]) -> None:
    from persona_sweeps.prediction.generation import generate, requests

    for group in _by_decoding(members):
        asked = [
            request
            for member in group
            for request in requests(member.index, member.data.prompts, member.data.ids, member.cell.config.seed)
        ]
        first = group[0]
        stop = first.data.prepared.stop_token_ids
        texts = [
            str(base.tokenizer.decode(tokens, skip_special_tokens=True)).strip()
            for tokens in generate(engine, asked, first.cell.config.generation, stop)
        ]
        for member in group:
            count = len(member.data.prompts)
            found[member.index].predictions, texts = texts[:count], texts[count:]


def _by_decoding(members: Sequence[Member]) -> Iterator[list[Member]]:
    groups: dict[str, list[Member]] = {}
    for member in members:
        key = f"{member.cell.config.generation} {member.data.prepared.stop_token_ids}"
        groups.setdefault(key, []).append(member)
    yield from groups.values()


def _wants_all_tokens(cell: Cell) -> bool:
    likelihood = cell.config.metrics.likelihood
    return likelihood is not None and likelihood.all_tokens
