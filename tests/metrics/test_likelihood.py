"""Likelihood metrics: the formulas, and equality with the model's own probabilities."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.errors import TrialError
from persona_sweeps.metrics.likelihood import Likelihood
from persona_sweeps.metrics.metric import NLL, NLL_ALL_TOKENS, Scores

EXAMPLES = st.lists(st.tuples(st.floats(0, 500), st.integers(1, 99), st.integers(1, 400)), min_size=1, max_size=8)
Examples = list[tuple[float, int, int]]


def lines(examples: Examples) -> list[dict[str, Any]]:
    """Return a prediction line for each (summed NLL, tokens, bytes); a reference has half as many words as bytes."""
    return [{"nll": n, "tokens": t, "bytes": size, "reference": "a " * (size // 2)} for n, t, size in examples]


def score(examples: Examples) -> Scores:
    return Likelihood(all_tokens=False).score({NLL: lines(examples)})


@given(EXAMPLES)
def test_the_mean_is_over_tokens_and_bits_are_per_byte(examples: Examples) -> None:
    nll, tokens, sizes = (list(column) for column in zip(*examples, strict=True))
    values = score(examples).whole
    assert values["completion_nll"] == pytest.approx(sum(nll) / sum(tokens))
    assert math.log(values["completion_ppl"]) == pytest.approx(values["completion_nll"])
    assert values["bits_per_byte"] * sum(sizes) * math.log(2) == pytest.approx(sum(nll))
    words = sum(max(1, size // 2) for size in sizes)
    assert values["word_ppl"] == pytest.approx(math.exp(min(sum(nll) / words, 709)), rel=1e-6) or sum(nll) / words > 700


@given(EXAMPLES)
def test_an_item_has_its_own_mean_with_what_it_counts(examples: Examples) -> None:
    for (nll, tokens, size), item in zip(examples, score(examples).items, strict=True):
        expected = {"completion_nll": nll / tokens, "completion_tokens": tokens, "completion_bytes": size}
        assert item == expected | {"completion_words": max(1, size // 2)}


@given(EXAMPLES, st.randoms())
def test_the_order_of_examples_does_not_matter(examples: Examples, random: Random) -> None:
    shuffled = list(examples)
    random.shuffle(shuffled)
    assert score(examples).whole == score(shuffled).whole


@given(EXAMPLES, EXAMPLES)
def test_all_tokens_are_scored_by_the_same_formulas_beside_the_completion(one: Examples, other: Examples) -> None:
    one, other = one[: len(other)], other[: len(one)]
    both = Likelihood(all_tokens=True).score({NLL: lines(one), NLL_ALL_TOKENS: lines(other)})
    of_all = score(other)
    expected = {f"all_tokens_{name}": of_all.whole[f"completion_{name}"] for name in ("nll", "ppl")}
    assert both.whole == score(one).whole | expected
    for item, alone, every in zip(both.items, score(one).items, of_all.items, strict=True):
        assert item == alone | {
            "all_tokens_nll": every["completion_nll"], "all_tokens_count": every["completion_tokens"],
        }  # fmt: skip


def test_all_tokens_are_asked_for_only_where_they_are_scored() -> None:
    assert Likelihood(all_tokens=False).requests() == (NLL,)
    assert Likelihood(all_tokens=True).requests() == (NLL, NLL_ALL_TOKENS)
    assert set(Likelihood(all_tokens=True).describe()) - set(Likelihood(all_tokens=False).describe()) == {
        "all_tokens_nll", "all_tokens_ppl",
    }  # fmt: skip


def test_a_hopeless_model_has_an_infinite_perplexity_not_an_error() -> None:
    assert score([(1e6, 1, 1)]).whole["completion_ppl"] == math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_nll_that_is_not_finite_fails_the_run_with_what_to_do(value: float) -> None:
    with pytest.raises(TrialError, match="not a finite number; lower train.learning_rate"):
        score([(1.0, 2, 3), (value, 2, 3)])


def test_no_items_give_no_values() -> None:
    assert score([]) == Scores({}, [])


def test_a_run_s_metrics_are_those_of_the_model_s_own_probabilities(
    launch: Callable, tiny: tuple[str, ...], make_cell: Callable, tmp_path: Path
) -> None:
    """Token by token with transformers, one unpadded sequence at a time; text in several bytes a character."""
    import torch

    from persona_sweeps.data.prepare import prepare
    from persona_sweeps.models.fingerprints import tokenizer_fingerprint
    from persona_sweeps.models.loading import load_base

    answers = ["Так!", "Être ou ne pas être, voilà la question.", "生か死か", "Ay, my lord"]
    rows = [{"prompt": f"Say {n}.", "completion": f"{answers[n % 4]} {n}"} for n in range(12)]
    path = tmp_path / "letters.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    overrides = (
        *tiny,
        f"dataset.path={path}",
        "peft=none",
        "metrics.likelihood.all_tokens=true",
        "metrics=[likelihood]",
    )
    ended = launch(*overrides)
    assert ended.code == 0, ended.err
    (record,) = ended.records()

    config = make_cell(*overrides).config
    base = load_base(config.model, torch.float32, "cpu")
    data = prepare(config, base.tokenizer, tokenizer_fingerprint(config.model, base.tokenizer)).eval
    completion = whole = labels = tokens = 0.0
    for row in data:
        ids = torch.tensor([row["input_ids"]])
        with torch.no_grad():
            chances = base.model(ids).logits[0, :-1].double().log_softmax(-1)
        nll = -chances.gather(1, ids[0, 1:, None])[:, 0]
        completion += float(nll[row["prompt_length"] - 1 :].sum())
        labels += ids.shape[1] - row["prompt_length"]
        whole, tokens = whole + float(nll.sum()), tokens + len(nll)
    size = sum(len(text.encode()) for text in data["completion"])
    words = sum(len(text.split()) for text in data["completion"])
    assert len(data) > 1 and size > sum(map(len, data["completion"]))
    expected = {
        "completion_nll": completion / labels,
        "completion_ppl": math.exp(completion / labels),
        "bits_per_byte": completion / math.log(2) / size,
        "word_ppl": math.exp(completion / words),
        "all_tokens_nll": whole / tokens,
        "all_tokens_ppl": math.exp(whole / tokens),
    }
    assert record["metrics"] == pytest.approx(expected, rel=1e-4)


@given(EXAMPLES)
def test_the_mean_of_perplexities_is_that_of_items_and_no_less_than_the_geometric_one(examples: Examples) -> None:
    found = Likelihood(all_tokens=False, mean_of_exp=True).score({NLL: lines(examples)})
    own = [math.exp(nll / tokens) if nll / tokens < 700 else math.inf for nll, tokens, _ in examples]
    assert found.whole["mean_of_exp"] == pytest.approx(sum(own) / len(own))
    assert [item["item_ppl"] for item in found.items] == pytest.approx(own)
    assert {k: v for k, v in found.whole.items() if k != "mean_of_exp"} == score(examples).whole
