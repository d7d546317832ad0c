"""Few-shot prompts: solved training examples before each prompt, the same ones for all prompts of a persona.

They come first, so that their tokens are a prefix that all prompts of a persona share and that is computed once a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from persona_sweeps.data.example import Example
from persona_sweeps.errors import DataError

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.rendering import RenderedExample, Renderer


def shots_of(config: RunConfig) -> tuple[int, int, int] | None:
    """Return what decides a run's shots, None where it has none: how many, the seed, and the tokens there is room for.

    The room is what the model attends over, less the new tokens, and not train.max_length: that says which examples
    are evaluated, the same ones in every run, and the longest of them would leave no room for a shot.
    """
    if not config.peft.shots:
        return None
    # Whether texts are asked for or not: another metric must not change the prompts.
    return config.peft.shots, config.seed, config.model.context_length - config.generation.max_new_tokens


def guessed_length(config: RunConfig, tokens: int) -> int:
    """Return how long a prompt of so many tokens becomes by shots of the same length; without shots it stays."""
    count, _, room = shots_of(config) or (0, 0, tokens)
    return min(room, tokens * (1 + count))


def choose_shots(solved: Sequence[Example], count: int, seed: int) -> dict[str | None, tuple[Example, ...]]:
    """Return at most `count` of the solved examples for each persona (None: those that have none).

    Which ones depends on the seed and their ids alone; fewer shots are a prefix of more.
    """
    chosen: dict[str | None, tuple[Example, ...]] = {}
    for example in sorted(solved, key=lambda e: hashlib.sha256(f"{seed}\0shot\0{e.id}".encode()).digest()):
        shots = chosen.get(example.persona, ())
        if len(shots) < count:
            chosen[example.persona] = (*shots, example)
    return chosen


def render_with_shots(
    renderer: Renderer, held_out: Sequence[Example], solved: Sequence[Example], asked: tuple[int, int, int]
) -> tuple[list[RenderedExample], dict[str, int]]:
    """Render examples behind their shots; return counts for the record too.

    Where the longest doesn't fit, all lose their last shot, until it does: what is evaluated stays the same. The counts
    are `shots`, those before a prompt, and `fewer_shots`, the prompts of personas that have fewer training examples.
    Raises `DataError` when no prompt gets a shot.
    """
    count, seed, room = asked
    chosen = choose_shots(solved, count, seed)
    if not any(example.persona in chosen for example in held_out):
        raise DataError(
            "peft=few_shot finds no training example of a persona that is evaluated: raise dataset.limit, or name a "
            "persona with examples on both sides (dataset.persona)."
        )
    longest = 0
    for used in range(count, 0, -1):
        shots = {persona: examples[:used] for persona, examples in chosen.items()}
        rendered = renderer.render(held_out, shots=shots)
        longest = max(len(example.input_ids) for example in rendered)
        if longest <= room:
            return rendered, _counts(held_out, shots, used)
    raise DataError(
        f"peft=few_shot: with one shot the longest prompt and completion have {longest} tokens, and the model has room "
        f"for {room}: lower train.max_length, which leaves the longest out of every run, or make the prompts shorter "
        "(dataset.card, dataset.context_lines)."
    )


def _counts(held_out: Sequence[Example], shots: Mapping[str | None, Sequence[Example]], used: int) -> dict[str, int]:
    fewer = sum(len(shots.get(example.persona, ())) < used for example in held_out)
    return {"shots": used, **({"fewer_shots": fewer} if fewer else {})}
