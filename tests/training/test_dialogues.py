"""A dialogue's turns share their context: the losses of separate examples, for the tokens of one."""

from __future__ import annotations

from typing import Any

import pytest

from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.data.rendering import Renderer
from persona_sweeps.data.sequences import TrainingSequences, evaluation_sequences
from persona_sweeps.data.store import PreparedData, to_dataset
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, adapter_of, trained_with

CARD = "You are Hamlet, prince of Denmark, and speak with your friend Horatio on the platform of the castle. " * 4


def dialogue(base: BaseModel, turns: int, name: str = "d") -> list[Any]:
    messages, examples = [Message("system", CARD)], []
    for turn in range(turns):
        messages.append(Message("user", f"My lord, what news of the ghost, in the watch of night {turn} {name}?"))
        answer = f"It would be spoke to, Horatio; question it, for the {turn}th time."
        examples.append(Example(f"{name}/turn-{turn}", tuple(messages), answer, name, dialogue=name))
        messages.append(Message("assistant", answer))
    return Renderer(base.tokenizer).render(examples)


def prepared(rows: list[Any]) -> PreparedData:
    data = to_dataset(rows)
    return PreparedData(data, data, {}, "", "", ())


def train(base: BaseModel, sequences: Any, **changes: Any) -> tuple[list[dict[str, float]], Trial]:
    trial = Trial(adapter_of(base, LORA), trained_with(**changes), 0, sequences)
    logged: list[dict[str, float]] = []
    with AdapterStack(base.model, [trial.adapter]) as stack:
        Engine(base.model, stack, [trial]).train(lambda _, values: logged.append(values))
    return logged, trial


def test_twelve_turns_lose_what_twelve_examples_lose_for_a_fraction_of_the_tokens(llama: BaseModel) -> None:
    rows = dialogue(llama, 12)
    together, shared = train(llama, TrainingSequences(prepared(rows)), max_steps=3, batch_size=1)
    alone: list[TokenSequence] = list(TrainingSequences(prepared(rows)))
    apart, separate = train(llama, alone, max_steps=3, batch_size=12, micro_batch_size=1)
    assert [v["train_nll"] for v in together] == pytest.approx([v["train_nll"] for v in apart], rel=1e-5)
    assert [v["grad_norm"] for v in together] == pytest.approx([v["grad_norm"] for v in apart], rel=1e-4)
    assert shared.progress.tokens == separate.progress.tokens
    longest = len(rows[-1].input_ids)
    assert shared.progress.unique_tokens <= 3 * (longest + 12) and separate.progress.unique_tokens > 5 * 3 * longest


def test_a_batch_counts_dialogues_and_an_epoch_sees_each_turn_once(llama: BaseModel) -> None:
    rows = [row for index, turns in enumerate((3, 1, 5, 2)) for row in dialogue(llama, turns, str(index))]
    _, trial = train(llama, TrainingSequences(prepared(rows)), epochs=1, batch_size=2)
    assert trial.progress.step == trial.total_steps == 2
    assert trial.progress.tokens == sum(len(row.input_ids) for row in rows)
    assert trial.examples_seen == 4


@pytest.mark.parametrize("change", [{"micro_batch_size": 1}, {"micro_batch_size": 2}])
def test_micro_batches_keep_dialogues_together_and_change_nothing(llama: BaseModel, change: dict[str, int]) -> None:
    rows = [row for index, turns in enumerate((3, 1, 5, 2)) for row in dialogue(llama, turns, str(index))]
    whole, _ = train(llama, TrainingSequences(prepared(rows)), max_steps=2, batch_size=4)
    divided, _ = train(llama, TrainingSequences(prepared(rows)), max_steps=2, batch_size=4, **change)
    assert [v["train_nll"] for v in divided] == pytest.approx([v["train_nll"] for v in whole], rel=1e-5)


def test_evaluation_shares_the_context_too(llama: BaseModel) -> None:
    rows = dialogue(llama, 6)
    sequences = evaluation_sequences(to_dataset(rows), None)
    with AdapterStack(llama.model, [adapter_of(llama, LORA)]) as stack:
        engine = Engine(llama.model, stack, [])
        together = engine.sequence_nll({0: sequences})[0]
        alone = [engine.sequence_nll({0: [sequence]})[0][sequence.index] for sequence in sequences]
    assert together.tolist() == pytest.approx(alone, rel=1e-5)
