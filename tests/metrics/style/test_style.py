"""Style knows whose voice a text has, says so where it can't, and isn't taken in by names or copies."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.read.selection import read_all
from analysis.tables import characters
from persona_sweeps.cache import CACHE_VARIABLE
from persona_sweeps.config.kinds import METRICS
from persona_sweeps.data.all_characters import AllCharacters
from persona_sweeps.data.example import Example
from persona_sweeps.data.run_data import RunData
from persona_sweeps.metrics.metric import TEXT, Line, Scores
from persona_sweeps.metrics.style import fitting
from persona_sweeps.metrics.style.voices import LEAST_LINES, Said, Voice, names_removed
from tests.conftest import Ended
from tests.metrics.own_prompts import run_data

STYLE = METRICS.make("style", {"classifier": "ngrams", "least_auc": 0.6})
FALSTAFF = run_data("Falstaff", play="all", eval_fraction=0.4)


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        fitting._made.clear()
        yield


def lines(texts: Sequence[str], persona: str | None = "Falstaff") -> list[Line]:
    return [{"id": str(i), "persona": persona, "prompt": "A room.", "text": text} for i, text in enumerate(texts)]


def scores(texts: Sequence[str], data: RunData = FALSTAFF, persona: str | None = "Falstaff") -> Scores:
    return STYLE.score_with({TEXT: lines(texts, persona)}, data)


def held_out(data: RunData, own: bool) -> list[str]:
    scenes = {line.cluster for line in data.all_characters.held_out if line.persona in data.personas}
    there = [line for line in data.all_characters.held_out if line.cluster in scenes and line.persona is not None]
    return [line.completion for line in there if (line.persona in data.personas) is own]


def test_his_lines_stand_above_noise_and_others() -> None:
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz     "), (200, 120))
    own, other = (scores(held_out(FALSTAFF, mine)).whole for mine in (True, False))
    noise = scores(["".join(row) for row in letters]).whole
    assert own["style"] > 0.65 and own["style_of_ten"] > 0.9
    assert other["style"] == pytest.approx(0.5) and other["style_of_ten"] == pytest.approx(0.5)
    assert own["style"] > max(other["style"], noise["style"])


def test_the_real_lines_have_the_auc_that_the_classifier_is_said_to_have() -> None:
    found = scores(held_out(FALSTAFF, own=True))
    said = found.details["Falstaff"]
    assert found.whole["style"] == pytest.approx(said["auc"])
    assert said["low"] < said["auc"] < said["high"] and said["scenes"] >= 6
    assert found.remarks == (
        f"Style of Falstaff: AUC {said['auc']:.2f} [{said['low']:.2f}, {said['high']:.2f}] of character n-grams on "
        f"{said['own_lines']} held-out lines against {said['other_lines']} of others.",
    )


def test_a_voice_that_cannot_be_known_has_no_score() -> None:
    rosalind = run_data("Rosalind", play="all", eval_fraction=0.4)
    found = scores(held_out(rosalind, own=True), rosalind, "Rosalind")
    assert found.whole == {} and not any(found.items)
    assert "can't tell this voice; AUC 0.5" in found.remarks[0]
    few = run_data("Bernardo", min_examples=1)
    (remark,) = scores(["Who's there?"] * 12, few, "Bernardo").remarks
    assert f"fewer than {LEAST_LINES} lines" in remark


def test_names_and_speaker_tags_change_nothing() -> None:
    texts = [text for text in held_out(FALSTAFF, own=False) if not text.startswith((":", "."))][:30]
    named = [f"FALSTAFF: {text} Falstaff Bardolph" for text in texts]
    assert scores(named).items == scores(texts).items


def test_titles_are_speech_and_stay() -> None:
    without_names = names_removed(FALSTAFF.all_characters)
    assert without_names("Falstaff: My lord, the King is a good King, Pistol.") == "My lord, the King is a good King, ."


def test_copies_of_training_lines_count_as_anybody() -> None:
    voice = Voice.of("Falstaff", FALSTAFF.all_characters)
    learned = [e.completion for e in FALSTAFF.all_characters.train if e.persona == "Falstaff"]
    long = [text for text in learned if len(text.split()) > 8]
    beginnings = [" ".join(text.split()[:7]) for text in long]
    copied = scores([*long[:20], *beginnings[:20], *held_out(FALSTAFF, own=True)[:5]])
    assert copied.items[:40] == [{"style": 0.5, "style_copied": 1.0}] * 40
    assert all(item["style_copied"] == 0.0 for item in copied.items[40:])
    assert copied.whole.keys() == {"style"}  # five texts are no set
    assert copied.remarks[1].startswith("Most texts are training lines word for word")
    assert not voice.is_learned(replace_text("Sir, the fool of the tavern sings")) and not voice.is_learned(
        replace_text("")
    )


def replace_text(text: str):

    return Said("", text)


@pytest.mark.parametrize("odd", ["", "   ", "\0", "吃葡萄不吐葡萄皮", "Ah! " * 2500, "🍷" * 40])
def test_odd_texts_have_scores_in_range(odd: str) -> None:
    found = scores([odd] * 10)
    assert 0 <= found.whole["style"] <= 1 and 0 <= found.whole["style_of_ten"] <= 1
    assert json.loads(json.dumps(found.items)) == found.items


def test_nobody_to_imitate_is_no_score() -> None:
    several = run_data(["Hamlet", "King Claudius"])
    unnamed = scores(["To be"] * 12, several, persona=None)
    assert unnamed.whole == {} and unnamed.remarks == ("No style: the data don't say which character speaks.",)
    assert scores([]).whole == {} and scores([]).items == []
    assert scores(["Give me a cup of sack, boy."] * 9).whole == {}


def test_it_is_fitted_once_and_restored_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    texts = held_out(FALSTAFF, own=True)[:20]

    def again() -> list[dict[str, float]]:
        fitting._made.clear()
        return scores(texts).items

    first = again()
    (file,) = (tmp_path / "style").iterdir()
    written = file.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(fitting.classifier("ngrams"), "fit", lambda train: pytest.fail("fitted again"))
        assert again() == first
    assert file.stat().st_mtime_ns == written
    file.write_bytes(file.read_bytes()[:1000])  # a broken file is made again
    assert again() == first
    assert file.stat().st_mtime_ns != written


def test_other_lines_are_another_classifier() -> None:
    everyone = FALSTAFF.all_characters
    changed = AllCharacters([replace(everyone.train[0], completion="Sack!"), *everyone.train[1:]], everyone.held_out)
    assert changed.fingerprint != everyone.fingerprint
    assert STYLE.fingerprint(FALSTAFF) == everyone.fingerprint
    assert isinstance(everyone.train[0], Example)


@pytest.mark.slow
def test_the_real_lines_of_a_run_are_scored_once_with_what_is_said_of_them(launch: Callable[..., Ended]) -> None:
    real = (
        "model.scale=tiny", "peft=true_reply", "dataset.persona=Falstaff", "dataset.play=all", "dataset.card=short",
        "dataset.eval_fraction=0.4", "dataset.eval_limit=40", "generation.limit=20",
    )  # fmt: skip
    first = launch(*real, "metrics=[style]")
    assert first.code == 0, first.err
    second = launch(*real, "metrics=[style,diversity]")
    assert second.code == 0, second.err
    alone, both = sorted(second.evaluations(), key=lambda evaluation: len(evaluation["scored"]))
    assert alone["scored"]["style"] == both["scored"]["style"]
    assert alone["metrics"]["style"] == both["metrics"]["style"] > 0.5
    (remark,) = both["scored"]["style"]["remarks"]
    assert (
        remark.startswith("Style of Falstaff: AUC 0.") and both["scored"]["style"]["details"]["Falstaff"]["auc"] > 0.6
    )
    table = characters.build(read_all(second.output))
    assert any(remark in section.notes for section in table.sections)
