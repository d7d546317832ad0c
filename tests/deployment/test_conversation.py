"""Conversations: history, persona card, what no longer fits, interruptions, and the same seed again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from persona_sweeps.deployment.conversation import Conversation, Decoding, for_conversation
from persona_sweeps.deployment.predictor import Predictor, predictors
from persona_sweeps.errors import UserError

from .conftest import Finished

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def voices(finished: Finished) -> list[Predictor]:
    run = for_conversation(finished.run("lora"), Decoding(max_new_tokens=8))
    return predictors([run, run.untuned()], "cpu")


def quiet(piece: str) -> None:
    pass


def test_each_answer_is_the_predictor_s_after_the_whole_history(voices: list[Predictor]) -> None:
    talk = Conversation(voices[0], "You are Hamlet.", seed=3)
    pieces: list[str] = []
    answers = [talk.ask(text, pieces.append) for text in ("Who's there?", "Where is he?")]
    assert "".join(pieces) == "".join(answers) and all(answers)
    system = {"role": "system", "content": "You are Hamlet."}
    assert [message["role"] for message in talk.messages] == ["user", "assistant"] * 2
    greedy = for_conversation(replace(voices[0].run), Decoding(8, temperature=0))
    (alone,) = predictors([greedy], "cpu")
    same = Conversation(alone, "You are Hamlet.", seed=0)
    same.messages = talk.messages[:2]
    expected = alone.reply([system, *same.messages, {"role": "user", "content": "Where is he?"}])
    assert same.ask("Where is he?", quiet) == expected


def test_the_same_seed_gives_the_same_answers_and_another_one_others(voices: list[Predictor]) -> None:
    def talk(seed: int) -> list[str]:
        conversation = Conversation(voices[0], None, seed)
        return [conversation.ask(text, quiet) for text in ("Who's there?", "Who's there?")]

    assert talk(1) == talk(1) != talk(2)
    assert talk(1)[0] != talk(1)[1]


def test_another_predictor_answers_the_same_message_and_leaves_no_trace(voices: list[Predictor]) -> None:
    talk = Conversation(voices[0], None, seed=1)
    talk.ask("Who's there?", quiet)
    before = list(talk.messages)
    other = talk.answer_of(voices[1], quiet)
    assert talk.messages == before
    assert other == Conversation(voices[1], None, seed=1).ask("Who's there?", quiet)


def test_an_interrupted_answer_stays_as_far_as_it_was_said(voices: list[Predictor]) -> None:
    talk = Conversation(voices[0], None, seed=1)
    said: list[str] = []

    def stop_after_two(piece: str) -> None:
        said.append(piece)
        if len(said) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        talk.ask("Who's there?", stop_after_two)
    assert talk.messages[-1] == {"role": "assistant", "content": "".join(said)}
    assert talk.ask("Go on.", quiet)


def test_the_earliest_messages_are_forgotten_where_all_do_not_fit(finished: Finished) -> None:
    run = for_conversation(finished.run("lora"), Decoding(max_new_tokens=8))
    short = replace(run, config=replace(run.config, train=replace(run.config.train, max_length=64)))
    talk = Conversation(predictors([short], "cpu")[0], None, seed=1)
    for _ in range(6):
        talk.ask("Words, words, words.", quiet)
    assert talk.forgotten and talk.forgotten % 2 == 0 and len(talk.messages) == 12
    with pytest.raises(UserError, match="A prompt of 413 tokens: at most 64 can be read"):
        talk.ask("Words, words, words. " * 40, quiet)
    assert len(talk.messages) == 12  # what wasn't answered isn't part of it


def test_a_saved_conversation_is_data_to_train_on(voices: list[Predictor], tmp_path: Path) -> None:
    from persona_sweeps.data import load_corpus
    from persona_sweeps.data.sources.jsonl import Jsonl

    talk = Conversation(voices[0], "You are Hamlet.", seed=1)
    for _ in range(2):
        answer = talk.ask("Who's there?", quiet)
        talk.save(tmp_path / "chat.jsonl")
    source = Jsonl(source="jsonl", path=str(tmp_path / "chat.jsonl"), min_examples=1, eval_fraction=0.5, split_seed=0)
    corpus = load_corpus(source)
    (last,) = [one for one in (*corpus.train, *corpus.eval) if len(one.prompt) == 4]
    assert [message.role for message in last.prompt] == ["system", "user", "assistant", "user"]  # type: ignore[union-attr]
    assert last.completion == answer


def test_decoding_that_cannot_be_is_one_sentence(finished: Finished) -> None:
    run = finished.run("lora")
    with pytest.raises(UserError, match="top_p=2 must be"):
        for_conversation(run, Decoding(top_p=2))
    with pytest.raises(UserError, match="leaves no room for a prompt"):
        for_conversation(run, Decoding(max_new_tokens=10**6))
