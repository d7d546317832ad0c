"""Few-shot prompts: put solved training examples before each prompt, the same ones for all prompts of a persona.

They come first, so that all prompts of a persona share them as a prefix, which is computed once a row.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from persona_sweeps.data.example import Example
from persona_sweeps.errors import DataError

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.rendering import RenderedExample, Renderer


def shots_of(config: RunConfig) -> tuple[int, int, int] | None:
    """Return what decides a run's shots: their number, the seed, and the most tokens of a prompt; None without shots.

    The limit is the model's context less the new tokens, not train.max_length. The latter decides which examples are
    evaluated, the same in every run, and the longest of these would leave no room for a shot.
    """
    if not config.peft.shots:
        return None
    # Always less the new tokens, even if no texts are needed: another metric must not change the prompts.
    return config.peft.shots, config.seed, config.model.context_length - config.generation.max_new_tokens


def guessed_length(config: RunConfig, tokens: int) -> int:
    """Estimate the length of a prompt of so many tokens behind shots of the same length; unchanged without shots."""
    count, _, limit = shots_of(config) or (0, 0, tokens)
    return min(limit, tokens * (1 + count))


def choose_shots(solved: Iterable[Example], count: int, seed: int) -> dict[str | None, tuple[Example, ...]]:
    """Return at most `count` of the solved examples for each persona (None: examples without one).

    The choice depends on the seed and their ids only; fewer shots are a prefix of more.
    """
    kept: dict[str | None, list[tuple[bytes, Example]]] = {}
    for example in solved:
        shots = kept.setdefault(example.persona, [])
        insort(shots, (hashlib.sha256(f"{seed}\0shot\0{example.id}".encode()).digest(), example), key=itemgetter(0))
        del shots[count:]
    return {persona: tuple(example for _, example in shots) for persona, shots in kept.items()}


def render_with_shots(
    renderer: Renderer, held_out: Sequence[Example], solved: Iterable[Example], settings: tuple[int, int, int]
) -> tuple[list[RenderedExample], dict[str, int]]:
    """Return examples rendered behind their shots, and counts for the record; `settings` are those of `shots_of`.

    If the longest prompt doesn't fit, all prompts lose their last shot, until it does; the same examples stay
    evaluated. The counts are `shots`, the number before a prompt, and `fewer_shots`, the number of prompts whose
    persona has fewer training examples. Raises `DataError` if no prompt gets a shot.
    """
    count, seed, limit = settings
    chosen = choose_shots(solved, count, seed)
    if not any(example.persona in chosen for example in held_out):
        raise DataError(
            "peft=few_shot finds no training example of any evaluated persona: raise dataset.limit, or name a persona "
            "with examples on both sides (dataset.persona)."
        )
    longest = 0
    for used in range(count, 0, -1):
        shots = {persona: examples[:used] for persona, examples in chosen.items()}
        rendered = renderer.render(held_out, shots=shots)
        longest = max(len(example.input_ids) for example in rendered)
        if longest <= limit:
            return rendered, _counts(held_out, shots, used)
    raise DataError(
        f"peft=few_shot: with one shot the longest prompt and completion have {longest} tokens, and the model has room "
        f"for {limit}: lower train.max_length, which leaves the longest out of every run, or make the prompts shorter "
        "(dataset.card, dataset.context_lines)."
    )


def _counts(held_out: Sequence[Example], shots: Mapping[str | None, Sequence[Example]], used: int) -> dict[str, int]:
    fewer = sum(len(shots.get(example.persona, ())) < used for example in held_out)
    return {"shots": used, **({"fewer_shots": fewer} if fewer else {})}
