"""Texts that join and leave a running batch are those that each run writes alone."""

from __future__ import annotations

import random

import pytest

from persona_sweeps.deployment.conversation import Decoding, for_conversation
from persona_sweeps.deployment.predictor import Predictor, predictors
from persona_sweeps.deployment.serving.running_batch import GrowingText, RunningBatch

from ..conftest import Finished

pytestmark = pytest.mark.slow

MESSAGES = ["Who's there?", "Nay, answer me: stand, and unfold yourself.", "What hour now?", "Good night to you, sir.",
            "Tis bitter cold.", "Speak to me, if there be any good thing to be done."]  # fmt: skip


def texts_of(answering: list[Predictor], decodings: list[Decoding]) -> list[GrowingText]:
    """Return a text for every message by every predictor, each decoding in turn."""
    found = []
    for number, message in enumerate(MESSAGES):
        for predictor in answering:
            decoding = decodings[len(found) % len(decodings)].generation(predictor.config)
            request = predictor.request(predictor.encode([message])[0], seed=number)
            found.append(GrowingText(request, decoding, predictor.ending(decoding), lambda tokens: None))
    return found


def alone(answering: list[Predictor], text: GrowingText, message: str) -> str:
    """Return what its predictor answers to the message by itself."""
    one = answering[text.request.trial]
    decoding = text.decoding
    one.config.generation = decoding
    return one.reply(message, seed=MESSAGES.index(message))


def test_each_text_is_the_one_that_its_run_writes_alone(finished: Finished) -> None:
    methods = ("lora", "ia3", "prompt_tuning", "none")
    decodings = [Decoding(12, 0.0), Decoding(5, 0.0), Decoding(9, 0.9, 0.9)]
    runs = [for_conversation(finished.run(method), Decoding(12)) for method in methods]
    answering = predictors(runs, "cpu")
    texts = texts_of(answering, decodings)
    batch, waiting = RunningBatch(answering[0].host.engine), list(texts)
    ended: list[GrowingText] = []
    chance = random.Random(0)
    while waiting or batch.texts:
        if waiting and (not batch.texts or chance.random() < 0.5):
            joining = [waiting.pop(0) for _ in range(min(len(waiting), chance.randint(1, 4)))]
            batch.join(joining)
        ended += batch.step()
    assert len(ended) == len(texts) and {text.finish_reason for text in ended} <= {"stop", "length"}
    assert len({len(text.tokens) for text in ended}) > 1
    for index, text in enumerate(texts):
        message = MESSAGES[index // len(methods)]
        assert text.ending.text(text.tokens) == alone(answering, text, message), (index, message)


def test_a_text_that_nobody_wants_leaves_and_the_others_stay_as_they_are(finished: Finished) -> None:
    answering = predictors([finished.run("lora")], "cpu")
    kept, dropped = (texts_of(answering, [Decoding(10, 0.0)])[index] for index in (0, 1))
    batch = RunningBatch(answering[0].host.engine)
    batch.join([dropped, kept])
    batch.step()
    dropped.cancelled = True
    assert batch.step() == [dropped] and len(dropped.tokens) == 1
    while batch.texts:
        batch.step()
    assert kept.ending.text(kept.tokens) == alone(answering, kept, MESSAGES[0])
