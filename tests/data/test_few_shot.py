"""Few-shot prompts: which solved examples come first, how templates write them, and what if they don't fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.few_shot import choose_shots, render_with_shots
from persona_sweeps.data.prepare import prepare
from persona_sweeps.data.rendering import Renderer
from persona_sweeps.errors import DataError
from persona_sweeps.models.fingerprints import tokenizer_fingerprint
from persona_sweeps.models.loading import load_tokenizer

CARD = Message("system", "Be Hamlet.")
ROOM = 10_000


def solved(number: int, persona: str | None = "Hamlet", *, card: Message | None = CARD) -> Example:
    turns = (*([card] if card else []), Message("user", f"Who's there? {number}"))
    return Example(f"id-{number}", turns, f"Nay, {number}.", f"scene-{number}", persona)


POOL = [solved(number) for number in range(9)]
ASKED = replace(solved(99), id="asked", cluster="held out")


def first_prompt(tokenizer: Any, asked: Example, pool: list[Example], count: int) -> str:
    return render_with_shots(Renderer(tokenizer), [asked], pool, (count, 0, ROOM))[0][0].prompt


@pytest.mark.parametrize("template", ["chatml", "thinking", "dated"])
def test_a_chat_template_sees_one_conversation_with_the_card_once(make_tokenizer: Callable, template: str) -> None:
    tokenizer = make_tokenizer(template)
    shots = choose_shots(POOL, 2, 0)["Hamlet"]
    turns = [CARD]
    for shot in shots:
        turns += [shot.prompt[-1], Message("assistant", shot.completion)]
    expected = Renderer(tokenizer).prompt_text((*turns, ASKED.prompt[-1]))
    assert first_prompt(tokenizer, ASKED, POOL, 2) == expected
    assert expected.count(CARD.content) == 1 and expected.index(shots[0].completion) < expected.index("99")


def test_a_template_without_a_system_role_has_the_card_in_the_first_user_message(make_tokenizer: Callable) -> None:
    text = first_prompt(make_tokenizer("gemma"), ASKED, POOL, 3)
    assert text.count(CARD.content) == 1 and text.startswith("<s><start_of_turn>user\nBe Hamlet.\n\nWho's there?")
    assert text.count("<start_of_turn>model") == 4


def test_a_plain_template_has_prompts_and_answers_with_blank_lines_between(make_tokenizer: Callable) -> None:
    one, two = choose_shots(POOL, 2, 0)["Hamlet"]
    expected = "Be Hamlet.\n\n" + "".join(f"{s.prompt[-1].content}\n{s.completion}\n\n" for s in (one, two))
    assert first_prompt(make_tokenizer("none"), ASKED, POOL, 2) == f"{expected}Who's there? 99\n"
    texts = [replace(example, prompt=f"Q{n} A:") for n, example in enumerate(POOL)]
    one, two = choose_shots(texts, 2, 0)["Hamlet"]
    asked = replace(ASKED, prompt="Q A:")
    expected = f"{one.prompt}{one.completion}\n\n{two.prompt}{two.completion}\n\nQ A:"
    assert first_prompt(make_tokenizer("none"), asked, texts, 2) == expected


def test_another_card_of_a_shot_is_not_lost(make_tokenizer: Callable) -> None:
    others = [solved(n, card=Message("system", "The king is dead.")) for n in range(3)]
    for template in ("chatml", "none"):
        text = first_prompt(make_tokenizer(template), ASKED, others, 1)
        assert "Be Hamlet." in text and "The king is dead.\n\nWho's there?" in text


@given(st.integers(1, 12), st.integers(0, 99), st.randoms())
def test_shots_hang_on_the_seed_alone_and_fewer_are_a_prefix_of_more(count: int, seed: int, random: Any) -> None:
    pool = [*POOL, *(solved(n, "Ophelia") for n in range(20, 23))]
    chosen = choose_shots(pool, count, seed)
    random.shuffle(pool)
    assert choose_shots(pool, count, seed) == chosen
    for persona, shots in choose_shots(pool, count + 1, seed).items():
        assert shots[:count] == chosen[persona] and {shot.persona for shot in shots} == {persona}
        assert len(shots) == min(count + 1, sum(example.persona == persona for example in pool))


def test_other_seeds_choose_other_shots() -> None:
    chosen = {tuple(shot.id for shot in choose_shots(POOL, 3, seed)["Hamlet"]) for seed in range(9)}
    assert len(chosen) > 4


def test_where_all_shots_do_not_fit_every_prompt_loses_the_last(make_tokenizer: Callable) -> None:
    renderer = Renderer(make_tokenizer("chatml"))
    long = replace(ASKED, id="long", completion="to be, or not to be " * 3)
    asked = [ASKED, long]
    lengths = [
        max(len(row.input_ids) for row in render_with_shots(renderer, asked, POOL, (count, 0, ROOM))[0])
        for count in (1, 2, 3, 4)
    ]
    rows, told = render_with_shots(renderer, asked, POOL, (4, 0, lengths[1]))
    assert told == {"shots": 2} and [row.id for row in rows] == ["asked", "long"]
    assert rows == render_with_shots(renderer, asked, POOL, (2, 0, ROOM))[0]
    with pytest.raises(DataError, match=f"have {lengths[0]} tokens.*room for {lengths[0] - 1}: lower train.max_length"):
        render_with_shots(renderer, asked, POOL, (4, 0, lengths[0] - 1))


def test_prompts_of_a_persona_with_few_examples_are_counted(make_tokenizer: Callable) -> None:
    pool = [*POOL, solved(20, "Ophelia")]
    asked = [ASKED, replace(ASKED, id="o", persona="Ophelia"), replace(ASKED, id="y", persona="Yorick")]
    renderer = Renderer(make_tokenizer("chatml"))
    rows, told = render_with_shots(renderer, asked, pool, (3, 0, ROOM))
    assert told == {"shots": 3, "fewer_shots": 2}
    assert [row.prompt.count("<|im_start|>assistant") - 1 for row in rows] == [3, 1, 0]
    with pytest.raises(DataError, match="no training example of any evaluated persona"):
        render_with_shots(renderer, asked[2:], pool, (3, 0, ROOM))


def test_a_run_s_shots_are_trained_on_elsewhere_and_change_neither_items_nor_completions(
    make_cell: Callable, tiny: tuple[str, ...], own_cache: Path
) -> None:
    def prepared(*overrides: str) -> Any:
        config = make_cell(*tiny, *overrides).config
        tokenizer = load_tokenizer(config.model)
        return prepare(config, tokenizer, tokenizer_fingerprint(config.model, tokenizer))

    plain, shot, again, other, few = (
        prepared(*overrides)
        for overrides in (
            ["peft=none"], ["peft=few_shot"], ["peft=few_shot"], ["peft=few_shot", "seed=1"],
            ["peft=few_shot", "dataset.limit=2"],
        )
    )  # fmt: skip
    assert shot is again and shot.shots == {"shots": 4} and plain.shots == {}
    corpus = load_corpus(make_cell(*tiny).config.dataset)
    held_out = {example.cluster for example in corpus.eval}
    for row, bare in zip(shot.eval, plain.eval, strict=True):
        assert (row["id"], row["completion"]) == (bare["id"], bare["completion"])
        assert row["input_ids"][row["prompt_length"] :] == bare["input_ids"][bare["prompt_length"] :]
        shown = [example for example in corpus.train if example.completion in row["prompt"]]
        assert len(shown) == 4 and not held_out & {example.cluster for example in shown}
    assert shot.eval["prompt"] != other.eval["prompt"] and few.shots == {"shots": 4, "fewer_shots": len(few.eval)}
    assert shot.train["input_ids"] == plain.train["input_ids"]
