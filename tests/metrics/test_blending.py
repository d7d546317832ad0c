"""Blending separates characters where a model does, and says so where training helps everybody alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from persona_sweeps.data.example import Example
from persona_sweeps.errors import ConfigError
from persona_sweeps.metrics.blending import BY_RUN, Blending
from tests.metrics.own_prompts import answered, mean, noise, run_data

ONE = run_data("Hamlet")
TWO = run_data(["Hamlet", "King Claudius"])
METRIC = Blending(characters=None, lines=20)


def base(example: Example) -> float:
    return noise(replace(example, id=example.metadata["line"])) + 2


def gaining(own: float, other: float):
    """Return a model that gains so much over the base on lines of the character that is asked to speak, and others."""
    return lambda e: base(e) - (own if e.persona == e.metadata["speaker"] else other)


@pytest.mark.parametrize("data", [ONE, TWO], ids=["one", "two"])
@pytest.mark.parametrize(
    ("own", "other", "bleed"), [(1.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 1.0, 2.0), (1.0, -1.0, -1.0)]
)
def test_bleed_is_the_gain_elsewhere_as_a_share_of_the_character_s(
    data, own: float, other: float, bleed: float
) -> None:
    scores = METRIC.score_with(answered(METRIC, data, gaining(own, other), base), data)
    assert scores.whole["bleed"] == pytest.approx(bleed)
    ratio = sum(item["blending_off"] for item in scores.items) / sum(item["blending_on"] for item in scores.items)
    assert ratio == pytest.approx(bleed)


def test_cards_identify_their_characters_where_the_model_knows_them() -> None:
    values = {
        name: METRIC.score_with(answered(METRIC, TWO, model, base), TWO).whole
        for name, model in (("knows", gaining(1.0, 0.0)), ("mixes", gaining(0.5, 0.5)), ("swaps", gaining(0.0, 1.0)))
    }
    assert [values[name]["identified"] for name in ("knows", "mixes", "swaps")] == [1.0, 0.5, 0.0]
    assert [values[name]["swap_margin"] for name in ("knows", "mixes", "swaps")] == pytest.approx([1.0, 0.0, -1.0])


def test_noise_identifies_at_chance() -> None:
    cards = METRIC.score_with(answered(METRIC, TWO, noise, base), TWO)
    assert abs(cards.whole["identified"] - 0.5) < 0.3


def test_a_run_of_one_character_has_a_row_and_nothing_to_identify() -> None:
    scores = METRIC.score_with(answered(METRIC, ONE, gaining(1, 0), base), ONE)
    assert "identified" not in scores.whole and {card for i in scores.items for card in i["blending_gain"]} == {
        "Hamlet"
    }
    assert len({item["blending_speaker"] for item in scores.items}) == 4
    assert scores.lines is not None and all(
        line["persona"] == item["blending_speaker"] for line, item in zip(scores.lines, scores.items, strict=True)
    )


def test_the_untuned_base_gains_nothing_and_has_no_bleed() -> None:
    assert METRIC.score_with(answered(METRIC, ONE, base, base), ONE).whole == {}


def test_runs_of_different_characters_score_the_same_lines() -> None:
    metric = Blending(characters=["Hamlet", "Horatio"], lines=20)
    rows = [
        {e.metadata["line"]: (e.metadata["speaker"], e.completion) for e in metric.prompts(BY_RUN.prompt_set, data)}
        for data in (run_data("Hamlet"), run_data("Horatio", limit=9, eval_limit=4))
    ]
    assert rows[0] == rows[1] and {speaker for speaker, _ in rows[0].values()} == {"Hamlet", "Horatio"}


def test_lines_are_never_from_scenes_that_their_speaker_is_trained_on() -> None:
    for data in (ONE, TWO):
        trained = {(example.persona, example.cluster) for example in data.corpus.train}
        lines = METRIC.prompts(BY_RUN.prompt_set, data)
        assert lines and not any((e.metadata["speaker"], e.cluster) in trained for e in lines)


def test_a_line_stands_behind_each_card_with_its_own_context() -> None:
    prompts = METRIC.prompts(BY_RUN.prompt_set, TWO)
    by_line: dict[str, list[Example]] = {}
    for prompt in prompts:
        by_line.setdefault(prompt.metadata["line"], []).append(prompt)
    for one, other in by_line.values():
        hamlet, claudius = sorted((one, other), key=lambda prompt: prompt.persona or "")
        assert (hamlet.persona, claudius.persona) == ("Hamlet", "King Claudius")
        assert hamlet.prompt[0] != claudius.prompt[0] and hamlet.prompt[1:] == claudius.prompt[1:]
        assert "Hamlet" in hamlet.prompt[0].content


def test_an_unknown_character_is_said_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"metrics\.blending\.characters names Horacio: .*Did you mean Horatio"):
        Blending(characters=["Hamlet", "Horacio"], lines=20).prompts(BY_RUN.prompt_set, ONE)


def test_the_mean_of_gains_is_over_lines() -> None:
    scores = METRIC.score_with(answered(METRIC, ONE, noise, base), ONE)
    own = mean(i["blending_gain"]["Hamlet"] for i in scores.items if i["blending_speaker"] == "Hamlet")
    others = mean(i["blending_gain"]["Hamlet"] for i in scores.items if i["blending_speaker"] != "Hamlet")
    assert scores.whole["bleed"] == pytest.approx(others / own)


def test_other_lines_are_another_version() -> None:
    versions = {
        metric.version()
        for metric in (METRIC, Blending(characters=None, lines=9), Blending(characters=["Hamlet", "Horatio"], lines=20))
    }
    assert len(versions) == 3
    assert all(one.version == METRIC.version() for one in METRIC.describe().values())
