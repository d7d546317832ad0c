"""Ranking finds the true reply where a model does, is at chance for noise, and draws its false replies fairly."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_sweeps.data.example import Example
from persona_sweeps.errors import DataError, TrialError
from persona_sweeps.metrics.ranking import PRIOR, REPLIES, Ranking, measures
from tests.metrics.own_prompts import answered, line_of, noise, run_data

METRIC = Ranking(items=24, pmi=True)
DATA = run_data()


def true_reply(example: Example) -> float:
    return 2.0 if example.metadata.get("set") == "true" else 3.0


def other_s_lines(example: Example) -> float:
    """Find most probable what other characters say."""
    return {"who": 1.0, "true": 2.0}.get(str(example.metadata.get("set")), 2.0)


def same(example: Example) -> float:
    return 2.5


def test_the_truth_is_first_noise_is_at_chance_and_another_s_voice_is_last() -> None:
    values = {
        name: METRIC.score_with(answered(METRIC, DATA, model), DATA).whole
        for name, model in (("truth", true_reply), ("noise", noise), ("other", other_s_lines), ("same", same))
    }
    for kind in ("context", "who"):
        assert [values["truth"][f"{name}_{kind}"] for name in ("r10", "r10_at_5", "mrr")] == [1.0, 1.0, 1.0]
        assert abs(values["noise"][f"r10_{kind}"] - 0.1) < 0.2
        assert values["same"][f"r10_{kind}"] == pytest.approx(0.1)
        assert values["same"][f"r10_at_5_{kind}"] == pytest.approx(0.5)
        assert values["same"][f"mrr_{kind}"] == pytest.approx(sum(1 / rank for rank in range(1, 11)) / 10)
    assert values["other"]["r10_who"] == 0.0 and values["other"]["r10_context"] == pytest.approx(0.1)
    order = [values[name]["p_true_who"] for name in ("other", "noise", "truth")]
    assert order == sorted(order)


def test_noise_is_at_chance_over_many_items() -> None:
    rng = np.random.default_rng(0)
    ranked = [measures(rng.normal(size=10)) for _ in range(20_000)]
    means = {name: np.mean([one[name] for one in ranked]) for name in ranked[0]}
    assert means["r10"] == pytest.approx(0.1, abs=0.01) and means["r10_at_5"] == pytest.approx(0.5, abs=0.015)
    assert means["mrr"] == pytest.approx(0.2929, abs=0.01) and means["p_true"] == pytest.approx(0.1, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([-1.0, -2.0, -3.0]), min_size=2, max_size=5))
def test_ties_count_as_the_mean_over_all_orders(scores: list[float]) -> None:
    ranks = []
    for order in itertools.permutations(range(len(scores))):
        ranking = sorted(range(len(scores)), key=lambda i: (-scores[i], order[i]))
        ranks.append(1 + ranking.index(0))
    found = measures(scores)
    assert found["r10"] == pytest.approx(np.mean([rank == 1 for rank in ranks]))
    assert found["mrr"] == pytest.approx(np.mean([1 / rank for rank in ranks]))


def test_a_like_for_a_reply_by_itself_does_not_count_with_pmi() -> None:
    """A model that finds false replies likelier wherever they stand, and the true one more so after its context."""

    def liking(example: Example) -> float:
        return noise(Example("", "", example.completion, ""))

    def informed(example: Example) -> float:
        return liking(example) - (0.01 if example.metadata.get("set") == "true" else 0.0)

    predictions = {
        REPLIES: [line_of(e, informed) for e in METRIC.prompts(REPLIES.prompt_set, DATA)],
        PRIOR: [line_of(e, liking) for e in METRIC.prompts(PRIOR.prompt_set, DATA)],
    }
    values = METRIC.score_with(predictions, DATA).whole
    assert values["r10_who_pmi"] == 1.0 and values["r10_who"] < 0.5


def test_false_replies_are_of_like_length_from_held_out_scenes_and_of_whom_they_should_be() -> None:
    training = {example.cluster for example in DATA.corpus.train}
    spoken = {line.completion: line for line in DATA.all_characters.held_out}
    trained = {line.completion for line in DATA.all_characters.train} - spoken.keys()
    replies = METRIC.prompts(REPLIES.prompt_set, DATA)
    by_item: dict[str, list[Example]] = {}
    for reply in replies:
        by_item.setdefault(reply.metadata["item"], []).append(reply)
    ratios = []
    for true, *false in by_item.values():
        assert true.metadata["set"] == "true" and len(false) == 18 and true.cluster not in training
        assert len({r.completion for r in (true, *false)}) >= 18 and len({r.prompt for r in (true, *false)}) == 1
        for reply in false:
            line = spoken[reply.completion]
            assert reply.completion not in trained and reply.completion != true.completion
            if reply.metadata["set"] == "who":
                assert line.persona != "Hamlet"
            ratios.append(abs(math.log(len(reply.completion) / len(true.completion))))
    lengths = [len(line.completion) for line in DATA.all_characters.held_out]
    blind = [abs(math.log(a / b)) for a, b in itertools.product(lengths[::7], lengths[::5])]
    assert np.median(ratios) < np.median(blind) / 2


def test_the_draw_does_not_depend_on_how_many_items_are_ranked() -> None:
    few = {e.id: e.completion for e in Ranking(items=6, pmi=False).prompts(REPLIES.prompt_set, DATA)}
    many = {e.id: e.completion for e in METRIC.prompts(REPLIES.prompt_set, DATA)}
    assert few.items() <= many.items()


def test_false_replies_of_the_data_come_before_drawn_ones() -> None:
    data = run_data()
    negatives = [f"Not this, number {n}." for n in range(12)]
    with_own = [
        Example(e.id, e.prompt, e.completion, e.cluster, e.persona, {"negatives": negatives}) for e in data.corpus.eval
    ]
    vars(data)["corpus"] = type(data.corpus)(data.corpus.train, with_own, "")
    context = [e.completion for e in METRIC.prompts(REPLIES.prompt_set, data) if e.metadata["set"] == "context"]
    assert set(context) == set(negatives[:9])


def test_too_few_lines_are_said_before_anything_runs() -> None:
    data = run_data()
    vars(data)["all_characters"] = type(data.all_characters)((), data.corpus.eval[:3])
    with pytest.raises(DataError, match="needs 9 false replies"):
        METRIC.prompts(REPLIES.prompt_set, data)


def test_an_item_whose_replies_do_not_all_fit_is_not_ranked() -> None:
    predictions = dict(answered(METRIC, DATA, noise))
    first = predictions[REPLIES][0]["id"]
    predictions[REPLIES] = [line for line in predictions[REPLIES] if line["id"] != f"{first}|who-4"]
    scores = METRIC.score_with(predictions, DATA)
    item = next(item for item, line in zip(scores.items, scores.lines or (), strict=True) if line["id"] == first)
    assert "r10_who" not in item and "r10_context" in item


def test_a_diverged_run_is_refused() -> None:
    predictions = answered(METRIC, DATA, lambda example: math.nan)
    with pytest.raises(TrialError, match="a reply to rank"):
        METRIC.score_with(predictions, DATA)
