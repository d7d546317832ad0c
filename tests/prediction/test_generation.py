"""Generated texts: those of transformers and PEFT, whatever is generated beside them, from the right distribution."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.export import export_adapter
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.prediction import generation
from persona_sweeps.prediction.decoding import Generation
from persona_sweeps.prediction.ending import Ending
from persona_sweeps.prediction.generation import GenerationRequest, generate, requests
from persona_sweeps.prediction.greedy import Greedy
from persona_sweeps.prediction.nucleus import Nucleus
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.toolbox import CARDS, LORA, METHODS, NONE, PREFIX, PROMPT, TRAIN, RepeatingTape, adapter_of, trained_with

GREEDY = Greedy(method="greedy", max_new_tokens=10)
NUCLEUS = Nucleus(method="nucleus", max_new_tokens=10, temperature=0.8, top_p=0.9)
Prompts = list[tuple[int, ...]]


@pytest.fixture
def load(compose_card: Callable[..., ModelConfig]) -> Callable[[str], BaseModel]:
    return lambda card: load_base(compose_card(card, "scale=tiny"), torch.float32, "cpu")


@pytest.fixture
def engine(load: Callable[[str], BaseModel]) -> Iterator[Engine]:
    """An engine of three trials: the base, LoRA, and prompt tuning."""
    base = load("mistral_7b")
    adapters = [adapter_of(base, peft, seed, spread=0.2) for seed, peft in enumerate((NONE, LORA, PROMPT))]
    with AdapterStack(base.model, adapters) as stack:
        yield engine_of(base, stack)


@pytest.fixture
def prompts() -> Prompts:
    """Prompts behind a card longer than any window, of different lengths; the last two are equal."""
    rng = random.Random(2)
    card = [rng.randrange(7, 1000) for _ in range(36)]
    found = [(*card, *(rng.randrange(7, 1000) for _ in range(count))) for count in (9, 1, 20, 4)]
    return [*found, found[-1]]


def engine_of(base: BaseModel, stack: AdapterStack) -> Engine:
    return Engine(base.model, stack, [Trial(adapter, TRAIN, 0, []) for adapter in stack.adapters])


def asked_of(trials: Sequence[int], prompts: Prompts, seed: int = 3) -> list[GenerationRequest]:
    ids = [str(index) for index in range(len(prompts))]
    return [request for trial in trials for request in requests(trial, prompts, ids, seed)]


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "prompt_tuning", "prefix_tuning"])
@pytest.mark.parametrize("card", CARDS)
def test_greedy_texts_are_those_of_transformers_and_peft(
    card: str, method: str, load: Callable[[str], BaseModel], prompts: Prompts, tmp_path: Path
) -> None:
    base = load(card)
    adapter = adapter_of(base, METHODS[method], spread=0.1)
    export_adapter(adapter, base.model, "none", tmp_path / "adapter")
    with AdapterStack(base.model, [adapter_of(base, LORA, 4), adapter]) as stack:
        ours = generate(engine_of(base, stack), asked_of([0, 1], prompts), GREEDY, [])[len(prompts) :]
    model = PeftModel.from_pretrained(load(card).model, str(tmp_path / "adapter")).eval()
    for prompt, text in zip(prompts, ours, strict=True):
        # Without the cache and step by step, since PEFT's generate has ways of its own with soft prompts.
        ids = list(prompt)
        for _ in range(GREEDY.max_new_tokens):
            with torch.no_grad():
                inputs = torch.tensor([ids])
                logits = model(input_ids=inputs, attention_mask=torch.ones_like(inputs), use_cache=False).logits
            ids.append(int(logits[0, -1].argmax()))
        assert ids[len(prompt) :] == text


@pytest.mark.parametrize("config", [GREEDY, NUCLEUS], ids=["greedy", "nucleus"])
def test_batched_equals_one_at_a_time(base: BaseModel, sequences: list[TokenSequence], config: Generation) -> None:
    adapters = [adapter_of(base, peft, seed, spread=0.2) for seed, peft in enumerate((NONE, LORA, PREFIX, PROMPT))]
    asked = asked_of([0, 1, 2, 3], [sequence.tokens[: sequence.loss_from] for sequence in sequences[:5]])
    with AdapterStack(base.model, adapters) as stack:
        engine = engine_of(base, stack)
        together = generate(engine, asked, config, [])
        stop = [together[0][4], together[7][6]]  # tokens that some texts have and others don't
        stopped = generate(engine, asked, config, stop)
        solo = [generate(engine, [request], config, stop)[0] for request in asked]
    assert all(len(text) == config.max_new_tokens for text in together)
    assert stopped == solo
    assert any(len(text) < config.max_new_tokens for text in stopped)
    for text, whole in zip(stopped, together, strict=True):
        assert whole[: len(text)] == text and not set(text) & set(stop)


@pytest.mark.parametrize("config", [GREEDY, NUCLEUS], ids=["greedy", "nucleus"])
def test_group_order_and_division_change_no_text(
    engine: Engine, prompts: Prompts, config: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_of([0, 1, 2], prompts)
    texts = generate(engine, asked, config, [])
    shuffled = list(range(len(asked)))
    random.Random(0).shuffle(shuffled)
    again = generate(engine, [asked[index] for index in shuffled], config, [])
    assert again == [texts[index] for index in shuffled]
    assert generate(engine, asked_of([2], prompts), config, []) == texts[2 * len(prompts) :]
    engine.limits.scoring.token_slots = 64
    assert generate(engine, asked, config, []) == texts
    monkeypatch.setattr(generation, "SEQUENCES", {"cpu": 4})
    assert generate(engine, asked, config, []) == texts
    assert generate(engine, [], config, []) == []


@pytest.mark.parametrize("config", [GREEDY, NUCLEUS], ids=["greedy", "nucleus"])
def test_a_longer_limit_only_adds_to_a_text(engine: Engine, prompts: Prompts, config: Generation) -> None:
    asked = asked_of([0, 1, 2], prompts)
    texts = generate(engine, asked, config, [])
    for limit in (1, 4):
        shorter = generate(engine, asked, replace(config, max_new_tokens=limit), [])
        assert shorter == [text[:limit] for text in texts]


def test_a_stop_token_ends_its_own_text_and_is_left_out(engine: Engine, prompts: Prompts) -> None:
    asked = asked_of([0, 1, 2], prompts)
    texts = generate(engine, asked, NUCLEUS, [])
    stops = [texts[0][0], texts[6][3], texts[11][-1]]
    expected = [next((text[:i] for i, token in enumerate(text) if token in stops), text) for text in texts]
    assert generate(engine, asked, NUCLEUS, stops) == expected
    assert expected[0] == [] and expected[6] == texts[6][: len(expected[6])] != texts[6]
    everything = list(range(engine.forward.head.weight.shape[0]))
    assert generate(engine, asked, GREEDY, everything) == [[] for _ in asked]


def test_equal_prompts_are_sampled_apart_and_a_seed_repeats_them(engine: Engine, prompts: Prompts) -> None:
    asked = asked_of([0, 1, 2], prompts)
    texts = generate(engine, asked, NUCLEUS, [])
    greedy = generate(engine, asked, GREEDY, [])
    assert texts == generate(engine, asked, NUCLEUS, [])
    assert texts != generate(engine, asked_of([0, 1, 2], prompts, seed=4), NUCLEUS, [])
    for trial in range(3):
        last = trial * len(prompts) + 3
        assert texts[last] != texts[last + 1] and greedy[last] == greedy[last + 1]
    assert generate(engine, asked, replace(NUCLEUS, top_p=1e-9), []) == greedy
    assert generate(engine, asked, replace(NUCLEUS, temperature=1e-4, top_p=1.0), []) == greedy


def test_the_nucleus_is_the_fewest_tokens_that_hold_top_p_in_their_proportions() -> None:
    chances = torch.tensor([0.05, 0.4, 0.1, 0.3, 0.15])
    draws = 4000
    config = Nucleus(method="nucleus", max_new_tokens=1, temperature=2.0, top_p=0.8)
    logits = (chances.log() * 2.0).expand(draws, -1)
    counts = Counter(config.chooser()(logits, list(range(draws)), 0).tolist())
    assert set(counts) == {1, 3, 4}  # 0.4 + 0.3 falls short of 0.8; with 0.15 it doesn't
    for token, count in counts.items():
        assert count / draws == pytest.approx(float(chances[token]) / 0.85, abs=0.03)


def test_streams_and_steps_draw_independently() -> None:
    logits = torch.zeros(4000, 20)
    choose = replace(NUCLEUS, temperature=1.0, top_p=1.0).chooser()
    first, second = (choose(logits, list(range(4000)), step) for step in (0, 1))
    for tokens in (first, second):
        assert torch.bincount(tokens, minlength=20).tolist() == pytest.approx([200] * 20, abs=60)
    assert float((first == second).float().mean()) == pytest.approx(1 / 20, abs=0.015)


def test_texts_of_a_trained_group_are_those_of_the_finished_adapters(
    load: Callable[[str], BaseModel], prompts: Prompts
) -> None:
    """After training the group's stacked weights are the trials' own, also when one of them has failed."""
    base = load("gemma3_270m")
    sequences = [TokenSequence(prompt, len(prompt) // 2, index) for index, prompt in enumerate(prompts)]
    broken = trained_with(max_steps=4, learning_rate=1e30, max_grad_norm=None, warmup_ratio=0.0, scheduler="constant")
    adapters: list[Adapter] = [adapter_of(base, peft, 1, spread=None) for peft in (LORA, LORA, PROMPT)]
    configs = [trained_with(max_steps=3, learning_rate=0.05), broken, trained_with(max_steps=2, learning_rate=0.5)]
    with AdapterStack(base.model, adapters) as stack:
        trials = [Trial(adapter, c, 0, sequences) for adapter, c in zip(adapters, configs, strict=True)]
        trained = Engine(base.model, stack, trials)
        before = generate(trained, asked_of([0, 2], prompts), GREEDY, [])
        trained.train(lambda index, values: None)
        assert [trial.failure is None for trial in trials] == [True, False, True]
        texts = generate(trained, asked_of([0, 2], prompts), GREEDY, [])
    assert texts != before
    with AdapterStack(base.model, [adapters[2], adapters[0]]) as stack:
        assert generate(engine_of(base, stack), asked_of([1, 0], prompts), GREEDY, []) == texts


@pytest.mark.parametrize("card", ["mistral_7b", "gpt2"])
@pytest.mark.parametrize("penalty", [1.3, 0.8])
def test_a_repetition_penalty_is_that_of_transformers(
    card: str, penalty: float, load: Callable[[str], BaseModel], prompts: Prompts
) -> None:
    base = load(card)
    config = replace(GREEDY, max_new_tokens=24, repetition_penalty=penalty)
    with AdapterStack(base.model, [adapter_of(base, NONE)]) as stack:
        ours = generate(engine_of(base, stack), asked_of([0], prompts), config, [])
    model = load(card).model.eval()
    for prompt, text in zip(prompts, ours, strict=True):
        given = torch.tensor([prompt])
        whole = model.generate(
            given, attention_mask=torch.ones_like(given), max_new_tokens=24, do_sample=False, eos_token_id=None,
            pad_token_id=0, repetition_penalty=penalty,
        )  # fmt: skip
        assert text == whole[0, given.shape[1] :].tolist()


@pytest.mark.parametrize(("top_k", "top_p"), [(3, 1.0), (50, 0.6), (5, 0.9), (1000, 0.5)])
def test_top_k_then_top_p_leave_what_transformers_leaves(top_k: int, top_p: float) -> None:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = torch.randn(1, 200, generator=torch.Generator().manual_seed(1)) * 2
    warped = logits
    for warper in (TemperatureLogitsWarper(0.7), TopKLogitsWarper(top_k), TopPLogitsWarper(top_p)):
        warped = warper(torch.zeros(1, 1, dtype=torch.long), warped)
    chances = warped.softmax(-1)[0]
    draws = 20_000
    config = Nucleus(method="nucleus", max_new_tokens=1, temperature=0.7, top_p=top_p, top_k=top_k)
    tokens = config.chooser()(logits.expand(draws, -1), list(range(draws)), 0)
    found = torch.bincount(tokens, minlength=200) / draws
    assert not found[chances == 0].any() and torch.allclose(found, chances, atol=0.015)


def test_a_stop_text_ends_its_own_text_wherever_its_tokens_divide(engine: Engine, prompts: Prompts) -> None:
    letters = {token: chr(97 + token % 26) for token in range(1024)}

    def decode(tokens: Sequence[int]) -> str:
        return "".join(letters[token] for token in tokens)

    asked = asked_of([0, 1, 2], prompts)
    config = replace(NUCLEUS, max_new_tokens=40)
    whole = [decode(tokens) for tokens in generate(engine, asked, config, [])]
    stops = [whole[0][6:8], whole[4][9:12]]
    stopped = generate(engine, asked, replace(config, stop=stops), [], decode)
    ending = Ending(frozenset(), tuple(stops), decode)
    for text, tokens in zip(whole, stopped, strict=True):
        first = min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))
        assert ending.text(tokens) == text[:first]
        assert decode(tokens) == text[: len(tokens)] and (len(tokens) < 40 or first >= 37)
    assert len(stopped[0]) == 8


def test_white_space_around_a_text_goes_after_the_stop_text_was_looked_for() -> None:
    ending = Ending(frozenset(), ("\n",), lambda tokens: "".join(map(chr, tokens)))
    assert ending.text([ord(c) for c in " To be \nor not"]) == "To be"
    assert ending.text([ord(c) for c in "\nTo be"]) == "", "as with transformers, it ends at once"


@pytest.mark.parametrize("config", [GREEDY, NUCLEUS], ids=["greedy", "nucleus"])
@pytest.mark.parametrize("card", ["mistral_7b", "gemma2_27b", "gpt2"])
def test_recorded_steps_give_the_same_texts(
    card: str, config: Generation, load: Callable[[str], BaseModel], prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also once sequences have finished, whose rows go on being computed until half of them have."""
    base = load(card)
    adapters = [adapter_of(base, peft, seed, spread=0.2) for seed, peft in enumerate((NONE, LORA, PREFIX))]
    tape = RepeatingTape()
    found = []
    with AdapterStack(base.model, adapters) as stack:
        engine = engine_of(base, stack)
        first = generate(engine, asked_of([0, 1, 2], prompts), config, [])
        stops = [text[3 + index] for index, text in enumerate(first[::3])]
        for new_tape in (None, lambda: tape):
            engine.new_tape = new_tape
            monkeypatch.setattr(generation, "can_replay", lambda model, stack: True)
            found.append(generate(engine, asked_of([0, 1, 2], prompts), config, stops))
    assert found[0] == found[1] and len({len(text) for text in found[0]}) > 1
    assert tape.recorded < tape.replayed


class FailingTape(RepeatingTape):
    """Refuses the second recording, or replays what isn't computed."""

    def __init__(self, wrong: bool) -> None:
        super().__init__()
        self.wrong = wrong

    def record(self, work: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        replay, result = super().record(work)
        if self.wrong:
            return lambda: setattr(result, "data", work() * 1.01), result
        if self.recorded == 2:
            raise RuntimeError("operation not permitted when stream is capturing")
        return replay, result


@pytest.mark.parametrize("wrong", [True, False])
def test_texts_stay_where_a_recording_fails(
    wrong: bool, load: Callable[[str], BaseModel], prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = load("mistral_7b")
    adapters = [adapter_of(base, peft, seed, spread=0.2) for seed, peft in enumerate((LORA, PREFIX))]
    tape, notes = FailingTape(wrong), []
    monkeypatch.setattr(generation, "can_replay", lambda model, stack: True)
    with AdapterStack(base.model, adapters) as stack:
        engine = engine_of(base, stack)
        first = generate(engine, asked_of([0, 1], prompts), GREEDY, [])
        stops = [text[3] for text in first[:6]]
        expected = generate(engine, asked_of([0, 1], prompts), GREEDY, stops)
        engine.new_tape, engine.note = lambda: tape, notes.append
        assert generate(engine, asked_of([0, 1], prompts), GREEDY, stops) == expected
    assert tape.recorded == (1 if wrong else 2) and len(notes) == 1
    assert ("differs by 0.01" if wrong else "not permitted") in notes[0]
