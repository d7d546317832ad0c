"""Windows read each token once and lose none; the turns of a dialogue are one unit and begin with the same tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.packing import pack
from persona_sweeps.data.rendering import RenderedExample, Renderer
from persona_sweeps.data.sequences import TrainingSequences, evaluation_sequences, labels_of
from persona_sweeps.data.splits import spread
from persona_sweeps.data.store import PreparedData, to_dataset
from persona_sweeps.data.windows import Windows

windows = st.tuples(st.integers(2, 20), st.integers(1, 20)).filter(lambda w: w[1] < w[0]).map(lambda w: Windows(*w))


def row(tokens: int, prompt: int = 0, dialogue: str | None = None, name: str = "a") -> RenderedExample:
    ids = list(range(100, 100 + tokens))
    return RenderedExample(name, "c", None, "p", "c", ids, prompt, max(1, prompt), 2 * (tokens - prompt), dialogue)


def prepared(*rows: RenderedExample, windows: Windows | None = None) -> PreparedData:
    data = to_dataset(rows)
    return PreparedData(data, data, {}, "", "", (), windows=windows)


@given(st.integers(1, 200), windows)
def test_windows_cover_every_token_and_the_last_one_ends_with_the_text(tokens: int, shape: Windows) -> None:
    spans = list(shape.spans(tokens))
    assert spans[0][0] == 0 and spans[-1][1] == tokens
    assert {index for begin, end in spans for index in range(begin, end)} == set(range(tokens))
    assert all(end - begin <= shape.length for begin, end in spans)
    assert all(later[0] - earlier[0] == shape.stride for earlier, later in zip(spans, spans[1:], strict=False))


@settings(deadline=None)
@given(st.integers(2, 120), st.integers(0, 119), windows)
def test_evaluation_scores_each_token_once_though_windows_overlap(tokens: int, prompt: int, shape: Windows) -> None:
    prompt = min(prompt, tokens - 1)
    found = evaluation_sequences(to_dataset([row(tokens, prompt)]), shape)
    scored = [token for sequence in found for token in sequence.tokens[sequence.loss_from :]]
    assert scored == list(range(100 + max(1, prompt), 100 + tokens))
    assert labels_of(found, 1) == [tokens - max(1, prompt)]
    everything = evaluation_sequences(to_dataset([row(tokens, prompt)]), shape, all_tokens=True)
    assert sum(sequence.labels for sequence in everything) == tokens - 1


@settings(deadline=None)
@given(st.lists(st.integers(2, 60), min_size=1, max_size=6), windows)
def test_training_reads_each_window_as_an_example(lengths: list[int], shape: Windows) -> None:
    rows = [row(length, name=str(index)) for index, length in enumerate(lengths)]
    train = TrainingSequences(prepared(*rows, windows=shape))
    expected = [
        rows[index].input_ids[begin:end]
        for index, length in enumerate(lengths)
        for begin, end in shape.spans(length)
        if end - begin > 1
    ]
    assert [list(sequence.tokens) for sequence in train] == expected
    assert train.lengths.tolist() == [len(ids) for ids in expected]
    assert [sequence.index for sequence in train] == list(range(len(expected)))
    assert all(sequence.labels == len(sequence.tokens) - 1 for sequence in train)
    assert list(train.units) == [range(index, index + 1) for index in range(len(expected))]


def test_windows_of_one_example_in_one_row_add_up() -> None:
    sequences = evaluation_sequences(to_dataset([row(50)]), Windows(20, 10))
    (packed,) = pack(sequences, 500)
    assert len(packed.label_tokens) == 49 and set(packed.label_examples.tolist()) == {0}
    assert len(packed.paths) == len(sequences)


def test_the_neighbouring_turns_of_a_dialogue_are_one_unit() -> None:
    names = ["x", "x", None, None, "y", "y", "y", "x"]
    train = TrainingSequences(prepared(*(row(5, 2, name, str(index)) for index, name in enumerate(names))))
    assert [(unit.start, unit.stop) for unit in train.units] == [(0, 2), (2, 3), (3, 4), (4, 7), (7, 8)]


def turns(count: int) -> list[Example]:
    messages = [Message("system", "Be Hamlet.")]
    found = []
    for turn in range(count):
        messages.append(Message("user", f"What do you read, my lord, {turn}?"))
        answer = f"Words, words, words: {turn}."
        found.append(Example(f"d/turn-{turn}", tuple(messages), answer, "d", dialogue="d"))
        messages.append(Message("assistant", answer))
    return found


@pytest.mark.parametrize("template", ["chatml", "gemma", "dated", "none"])
def test_each_turn_begins_with_the_tokens_of_the_turn_before_and_its_answer(
    make_tokenizer: Callable[..., Any], template: str
) -> None:
    rendered = Renderer(make_tokenizer(template, adds_bos=True)).render(turns(12))
    for before, after in zip(rendered, rendered[1:], strict=False):
        answered = before.input_ids[:-1]  # a base model's plain text has no end token between turns
        assert after.input_ids[: len(answered)] == answered
    (packed,) = pack(evaluation_sequences(to_dataset(rendered), None), 10**6)
    assert len(packed) <= len(rendered[-1].input_ids) + 12, "the dialogue costs its tokens once"


def test_a_template_that_rewrites_earlier_answers_is_left_as_it_is(make_tokenizer: Callable[..., Any]) -> None:
    tokenizer = make_tokenizer("thinking")
    prompt = turns(3)[-1].prompt
    (rendered,) = Renderer(tokenizer).render([Example("a", prompt, "Slanders, sir.", "c")])
    whole = tokenizer(rendered.prompt, add_special_tokens=False).input_ids
    assert rendered.input_ids[: rendered.prompt_length] == whole


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=30), st.integers(1, 30), st.integers(1, 30))
def test_a_limit_takes_from_all_clusters_in_turn(clusters: list[str], one: int, other: int) -> None:
    small, large = sorted((one, other))
    few, more = spread(clusters, small), spread(clusters, large)
    assert len(few) == min(small, len(clusters)) and set(few) <= set(more) and few == sorted(few)
    counts = [sum(clusters[index] == name for index in few) for name in sorted(set(clusters))]
    total = [clusters.count(name) for name in sorted(set(clusters))]
    short = [count for count, whole in zip(counts, total, strict=True) if count < whole]
    assert not short or max(counts) - min(short) <= 1
    assert spread(clusters, None) == list(range(len(clusters)))
