"""Likelihood metrics: the formulas, and equality with the model's own probabilities."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.metrics.likelihood import (
    all_token_metrics,
    label_count,
    likelihood_metrics,
    on_all_tokens,
    on_completion,
)

EXAMPLES = st.lists(st.tuples(st.floats(0, 500), st.integers(1, 99), st.integers(1, 400)), min_size=1, max_size=8)


@given(EXAMPLES)
def test_the_mean_is_over_tokens_and_bits_are_per_byte(examples: list[tuple[float, int, int]]) -> None:
    nll, tokens, sizes = (list(column) for column in zip(*examples, strict=True))
    values = likelihood_metrics(np.array(nll), tokens, sizes)
    assert values["completion_nll"] == pytest.approx(sum(nll) / sum(tokens))
    assert math.log(values["completion_ppl"]) == pytest.approx(values["completion_nll"])
    assert values["bits_per_byte"] * sum(sizes) * math.log(2) == pytest.approx(sum(nll))


@given(EXAMPLES, st.randoms())
def test_the_order_of_examples_does_not_matter(examples: list[tuple[float, int, int]], random) -> None:
    shuffled = list(examples)
    random.shuffle(shuffled)
    one, other = (
        likelihood_metrics(np.array(n), t, s) for n, t, s in (zip(*e, strict=True) for e in (examples, shuffled))
    )
    assert one == pytest.approx(other)


def test_a_hopeless_model_has_an_infinite_perplexity_not_an_error() -> None:
    assert likelihood_metrics(np.array([1e6]), [1], [1])["completion_ppl"] == math.inf
    assert all_token_metrics(np.array([1e6]), [1])["all_tokens_ppl"] == math.inf


def test_which_tokens_are_labels() -> None:
    sequence = TokenSequence((5, 6, 7, 8, 9), loss_from=1, index=3)
    assert (
        on_completion(sequence, 3) == TokenSequence((5, 6, 7, 8, 9), 3, 3)
        and label_count(on_completion(sequence, 3)) == 2
    )
    assert label_count(on_all_tokens(on_completion(sequence, 3))) == 4


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
    assert len(data) > 1 and size > sum(map(len, data["completion"]))
    expected = {
        "completion_nll": completion / labels,
        "completion_ppl": math.exp(completion / labels),
        "bits_per_byte": completion / math.log(2) / size,
        "all_tokens_nll": whole / tokens,
        "all_tokens_ppl": math.exp(whole / tokens),
    }
    assert record["metrics"] == pytest.approx(expected, rel=1e-4)
